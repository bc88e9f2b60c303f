"""The bench of policies, small: both contenders do their work, and what is false is told. No time counts."""

from pathlib import Path

import pytest
from tests.bench import policies
from tests.bench.contest import OURS
from tests.bench.outcome import Outcome, Series
from tests.bench.page_text import figures
from tests.bench.policies_crowd import Sizes
from tests.bench.policies_page import FIGURES, TEXT

SIZES = Sizes(runs=60, checkpoints=5, policies=3, poll_seconds=5, rest_seconds=6)


@pytest.mark.cluster
def test_policies_list_once_rest_and_let_the_right_ones_go(tmp_path: Path) -> None:
    """Or the program ends with Untrue."""
    outcome = policies.measure(SIZES, 3, tmp_path)

    job = "300 checkpoints of 60 TrainingRuns, 3 policies"
    assert [(one.job, one.contender) for one in outcome.series] == [(job, policies.LOOP), (job, OURS)]
    loop, ours = (one.values for one in outcome.series)
    assert loop["start_listings"] == [60]
    assert ours["start_listings"] == [60]
    assert ours["rest_writes"] == [0]
    assert [claim.holds for claim in outcome.claims] == [True, True, True]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("found", "holds"),
    [
        ({}, [True, True, True]),
        ({"rest_writes": [1]}, [False, True, True]),
        ({"rest_listings_per_interval": [12.1]}, [True, False, True]),
    ],
    ids=["as promised", "a write at rest", "more listings than promised"],
)
def test_a_promise_that_is_not_kept_is_told(found: dict[str, list[float]], holds: list[bool]) -> None:
    kept = {"start_listings": [60.0], "rest_writes": [0.0], "rest_listings_per_interval": [12.0]}
    ours = {**kept, "delete_seconds": [1.0], **found}
    assert [claim.holds for claim in policies.claims(SIZES, ours)] == holds


@pytest.mark.pure
def test_the_page_shows_what_was_found_and_what_was_not() -> None:
    values = {"start_seconds": [1234.56], "rest_bytes": [3.0 * 1024**2]}
    head, rows = figures(Outcome("policies", {}, [Series("job", "loop", {}), Series("job", OURS, values)]), FIGURES)
    assert head == ["job", "loop", OURS]
    assert rows[0] == ["start until every policy has told, s", "-", "1,234.6"]
    assert ["resident memory, MiB", "-", "3"] in rows
    assert "{arguments}" in TEXT
    assert "{figures}" in TEXT

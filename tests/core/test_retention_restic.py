"""Our rules against restic's own published cases: the same times, the same numbers; where the answers differ, why.

Not compared is what only restic has: months and years, tags, and thinning within a duration.
"""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.core.strategies_policy import path

from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.retention_spec import Retention
from tinker_operator.core.policy_group import group_of
from tinker_operator.core.policy_references import References
from tinker_operator.core.retention import Claim, Kept, judge
from tinker_operator.core.retention_rules import RULES
from tinker_operator.core.world import ObservedCheckpoint

pytestmark = pytest.mark.pure

PUBLISHED = json.loads((Path(__file__).parent / "restic.json").read_text())
NOW = datetime(2016, 2, 1, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00").replace(".1+", ".100000+"))


TIMES = [moment(it) for it in PUBLISHED["times"]]


def kept(times: list[datetime], rules: dict[str, Any]) -> dict[datetime, set[KeepReason]]:
    """What stays of checkpoints saved at these times, and why; equal times as one, with the reasons of all."""
    listed = tuple(ObservedCheckpoint(path("r1", f"c{n:03}"), "r1", time=it) for n, it in enumerate(times))
    judged = judge([Claim(group_of({"r1": listed}), Retention.model_validate(rules))], References(), NOW)
    found: dict[datetime, set[KeepReason]] = {}
    for it in listed:
        judgement = judged[it.path]
        if isinstance(judgement, Kept) and it.time is not None:
            found.setdefault(it.time, set()).update(judgement.because)
    return found


@pytest.mark.parametrize("case", PUBLISHED["cases"], ids=lambda case: case["it"])
def test_the_same_times_stay_as_with_restic(case: dict[str, Any]) -> None:
    """No difference in any published case of the rules that both have."""
    listed = tuple(ObservedCheckpoint(path("r1", f"c{n:03}"), "r1", time=it) for n, it in enumerate(TIMES))
    judged = judge([Claim(group_of({"r1": listed}), Retention.model_validate(case["rules"]))], References(), NOW)
    ours = Counter(it.time for it in listed if isinstance(judged[it.path], Kept))
    assert ours == Counter(map(moment, case["kept"]))


@pytest.mark.parametrize("case", PUBLISHED["cases"], ids=lambda case: case["it"])
def test_what_stays_as_with_restic_stays_by_a_rule(case: dict[str, Any]) -> None:
    """The floor and the newest would hide a rule that keeps too little."""
    found = kept(TIMES, case["rules"])
    assert all(reasons & RULES.keys() for reasons in found.values())


DAY = timedelta(days=1)
A, B, C = NOW - 3 * DAY, NOW - 2 * DAY, NOW - DAY
FUTURE = NOW + 400 * DAY
DIFFERENCES = [
    (
        "a snapshot from the future takes the place of the last real one in restic; in ours it stays beside it",
        [A, B, FUTURE],
        {"keepLast": 1},
        {FUTURE},
        {B, FUTURE},
    ),
    (
        "restic counts the day of a snapshot from the future; ours counts the days that were",
        [A, B, C, FUTURE],
        {"keepDaily": 2},
        {C, FUTURE},
        {B, C, FUTURE},
    ),
    (
        "restic forgets the newest where a rule names another; ours always keeps the newest and the floor",
        [A, B],
        {"keepNames": ["tagged"]},
        set(),
        {B},
    ),
]


@pytest.mark.parametrize(
    ("times", "rules", "restic", "ours"), [it[1:] for it in DIFFERENCES], ids=[it[0] for it in DIFFERENCES]
)
def test_where_the_answers_differ_ours_keeps_more(
    times: list[datetime], rules: dict[str, Any], restic: set[datetime], ours: set[datetime]
) -> None:
    assert set(kept(times, rules)) == ours
    assert restic < ours

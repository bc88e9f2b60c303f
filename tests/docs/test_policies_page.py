"""The page on policies says what is so: its manifests are of the types, its tables are those of the code."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.test_docs import fenced, section, table, unknown

from tinker_operator.api.checkpoint_policy import CheckpointPolicySpec
from tinker_operator.api.meta import to_wire
from tinker_operator.api.schedule_spec import Schedule, ScheduleStrategy
from tinker_operator.core.freshness import ENOUGH, FLOOR_POLLS, PATIENCE, PERIODIC, SEEN_LIMIT
from tinker_operator.core.policy_export import ATTEMPTS
from tinker_operator.trainer.schedule import Strategy

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
MANIFESTS: list[dict[str, Any]] = [each for block in fenced(PAGE, "yaml") for each in yaml.safe_load_all(block)]
SCHEDULE = section(PAGE, "Schedule")
FIELD = "Field of `spec.schedule`"


@pytest.mark.pure
def test_every_field_of_the_schedule_is_told_with_its_default_and_no_other() -> None:
    told = {row[FIELD].strip("`"): row["Default"].strip("`") for row in table(SCHEDULE, FIELD)}
    defaults = Schedule().model_dump(by_alias=True, mode="json")
    expected = {name: "none" if value is None else yaml.safe_dump(value).split()[0] for name, value in defaults.items()}

    assert told == expected


@pytest.mark.pure
def test_every_strategy_is_told_and_known_to_the_operator_and_the_library() -> None:
    told = [row["`strategy`"].strip("`") for row in table(SCHEDULE, "`strategy`")]

    assert told == [*ScheduleStrategy] == [*Strategy]


@pytest.mark.pure
def test_the_numbers_of_checkpoint_fresh_are_those_of_the_code() -> None:
    words = ("thrice", "last eight", "two `pollIntervalSeconds`", "Before three")
    assert [word for word in words if word not in " ".join(SCHEDULE.split())] == []
    assert (PATIENCE, SEEN_LIMIT, FLOOR_POLLS, ENOUGH) == (3, 8, 2, 3)
    assert set(ScheduleStrategy) - PERIODIC == {ScheduleStrategy.BEST, ScheduleStrategy.LAST}


@pytest.mark.pure
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: each["metadata"]["name"])
def test_every_manifest_of_the_page_is_of_the_types(manifest: dict[str, Any]) -> None:
    """It parses, and the type has each of its fields."""
    parsed = CheckpointPolicySpec.model_validate(manifest["spec"])
    assert list(unknown(manifest["spec"], to_wire(parsed), "spec")) == []


@pytest.mark.pure
def test_the_number_of_attempts_of_an_export_is_told() -> None:
    words = {5: "five"}
    assert f"after {words[ATTEMPTS]} attempts" in PAGE

"""The page about policies shows what the types take."""

import re
from pathlib import Path

import pytest
import yaml

from tinker_operator.api.checkpoint_policy import CheckpointPolicySpec
from tinker_operator.api.meta import to_wire
from tinker_operator.core.policy_export import ATTEMPTS

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
POLICIES = [one for block in BLOCKS for one in yaml.safe_load_all(block)]
pytestmark = pytest.mark.pure


@pytest.mark.parametrize("manifest", POLICIES, ids=lambda it: it["metadata"]["name"])
def test_every_policy_is_of_the_types(manifest: dict[str, object]) -> None:
    """No field is dropped on the way."""
    given = manifest["spec"]
    assert isinstance(given, dict)
    read = to_wire(CheckpointPolicySpec.model_validate(given))
    for field in given:
        assert given[field].items() <= _flat(read[field], given[field]).items()


def _flat(read: dict[str, object], given: dict[str, object]) -> dict[str, object]:
    """What was read, without the defaults of what was not given."""
    return {
        key: _flat(value, given[key]) if isinstance(value, dict) and isinstance(given[key], dict) else value  # type: ignore[arg-type]
        for key, value in read.items()
        if key in given
    }


def test_the_number_of_attempts_is_told() -> None:
    words = {5: "five"}
    assert f"after {words[ATTEMPTS]} attempts" in PAGE

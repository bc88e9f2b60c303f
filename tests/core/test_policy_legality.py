"""The checker of statuses can fail: each of its rules has a status that breaks it, and a legal one that does not."""

import pytest
from tests.core.legality import RULES, illegalities
from tests.core.strategies_policy import NOW

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason

pytestmark = pytest.mark.pure

T, F, U = ConditionStatus
READY, RECONCILING, STALLED = ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED


def condition(
    kind: str, status: ConditionStatus, *, generation: int = 2, reason: str = Reason.LIVE, message: str = "it is so"
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        observed_generation=generation,
        last_transition_time=NOW,
        reason=reason,
        message=message,
    )


BROKEN = {
    "FAIL0001": (2, [condition(READY, T), condition(ConditionType.CORRUPTED, T)]),
    "FAIL0002": (2, [condition(ConditionType.SYNCED, T)]),
    "FAIL0003": (2, [condition(READY, T), condition(RECONCILING, T)]),
    "FAIL0004": (2, [condition(READY, U), condition(STALLED, T)]),
    "FAIL0005": (2, [condition(READY, F), condition(RECONCILING, T), condition(STALLED, T)]),
    "FAIL0006": (3, [condition(READY, F)]),
    "FAIL0007": (1, [condition(READY, T)]),
    "FAIL0008": (2, [condition(READY, T, generation=1)]),
    "FAIL0009": (2, [condition(READY, T), condition(ConditionType.SYNCED, T, generation=3)]),
    "FAIL0011": (2, [condition(READY, U)]),
    "Reconciling and Stalled are there only": (2, [condition(READY, T), condition(STALLED, F)]),
    "Reconciling and Stalled say": (2, [condition(READY, F), condition(STALLED, T, message="something else")]),
    "types and reasons": (2, [condition(READY, T, reason="Whatever")]),
    "every message": (2, [condition(READY, T, message="")]),
    "transition times": (
        2,
        [condition(READY, T).model_copy(update={"last_transition_time": NOW.replace(tzinfo=None)})],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_catches_the_status_that_breaks_it(rule: str) -> None:
    (found,) = [case for start, case in BROKEN.items() if rule.startswith(start)]
    assert rule in illegalities(2, *found)


def test_a_condition_type_that_is_there_twice_is_caught() -> None:
    assert illegalities(2, 2, [condition(READY, T), condition(READY, F)]) == ["each condition type is there once"]


@pytest.mark.parametrize(
    "conditions",
    [
        [condition(READY, T)],
        [condition(READY, F)],
        [condition(READY, F), condition(STALLED, T)],
        [condition(READY, F), condition(RECONCILING, T), condition(ConditionType.SYNCED, U)],
    ],
    ids=["current", "held", "stalled", "in progress"],
)
def test_a_legal_status_is_let_pass(conditions: list[Condition]) -> None:
    assert illegalities(2, 2, conditions) == []

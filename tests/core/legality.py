"""What every status must obey, whichever kind it belongs to: the rules that kstatus clients build on.

The numbers are those of the conformance checks of the Flux project, which states these rules for kstatus. Its
tenth is left out: it asks that the root observedGeneration lags while Reconciling, but this operator also
reconciles what happens at the service, where no new generation is involved.
"""

from collections.abc import Callable, Mapping, Sequence

from tests.deploy.argocd import as_kstatus, health

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason

NEGATIVE = frozenset({ConditionType.STALLED, ConditionType.RECONCILING, ConditionType.CORRUPTED})
COMPANIONS = (ConditionType.RECONCILING, ConditionType.STALLED)
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

Rule = Callable[[int, int, Mapping[str, Condition]], bool]


def _is(conditions: Mapping[str, Condition], kind: ConditionType, status: ConditionStatus) -> bool:
    return kind in conditions and conditions[kind].status is status


RULES: Mapping[str, Rule] = {
    "FAIL0001: nothing negative is True while Ready is True": lambda _g, _o, c: (
        not _is(c, ConditionType.READY, TRUE) or not any(_is(c, kind, TRUE) for kind in NEGATIVE)
    ),
    "FAIL0002: Ready is always there": lambda _g, _o, c: ConditionType.READY in c,
    "FAIL0003: Reconciling=True goes with Ready=False": lambda _g, _o, c: (
        not _is(c, ConditionType.RECONCILING, TRUE) or _is(c, ConditionType.READY, FALSE)
    ),
    "FAIL0004: Stalled=True goes with Ready=False": lambda _g, _o, c: (
        not _is(c, ConditionType.STALLED, TRUE) or _is(c, ConditionType.READY, FALSE)
    ),
    "FAIL0005: Reconciling and Stalled are never both there": lambda _g, _o, c: (
        not all(kind in c for kind in COMPANIONS)
    ),
    "FAIL0006: observedGeneration is not ahead of the generation": lambda g, o, _c: o <= g,
    "FAIL0007: Ready=True only for the object's generation": lambda g, o, c: (
        not _is(c, ConditionType.READY, TRUE) or o >= g
    ),
    "FAIL0008: Ready=True only if no condition is behind the object's generation": lambda g, _o, c: (
        not _is(c, ConditionType.READY, TRUE) or all(one.observed_generation >= g for one in c.values())
    ),
    "FAIL0009: Ready=True only if every condition has the root's observedGeneration": lambda _g, o, c: (
        not _is(c, ConditionType.READY, TRUE) or all(one.observed_generation == o for one in c.values())
    ),
    "FAIL0011: Ready=Unknown goes with Reconciling=True": lambda _g, _o, c: (
        not _is(c, ConditionType.READY, UNKNOWN) or _is(c, ConditionType.RECONCILING, TRUE)
    ),
    "Reconciling and Stalled are there only while True": lambda _g, _o, c: all(
        kind not in c or c[kind].status is TRUE for kind in COMPANIONS
    ),
    "Reconciling and Stalled say what Ready says": lambda _g, _o, c: all(
        (c[kind].reason, c[kind].message) == (c[ConditionType.READY].reason, c[ConditionType.READY].message)
        for kind in COMPANIONS
        if kind in c and ConditionType.READY in c
    ),
    "types and reasons come from the closed lists": lambda _g, _o, c: all(
        one.type in set(ConditionType) and one.reason in set(Reason) for one in c.values()
    ),
    "every message says something and fits metav1.Condition": lambda _g, _o, c: all(
        0 < len(one.message) <= 4096 for one in c.values()
    ),
    "transition times are timezone-aware": lambda _g, _o, c: all(
        one.last_transition_time.tzinfo is not None for one in c.values()
    ),
}


def illegalities(generation: int, observed_generation: int, conditions: Sequence[Condition]) -> list[str]:
    """Returns the rules that a status breaks; empty for a legal one.

    Args:
        generation: metadata.generation of the object.
        observed_generation: status.observedGeneration.
        conditions: status.conditions.
    """
    by_type = {condition.type: condition for condition in conditions}
    twice = [] if len(by_type) == len(conditions) else ["each condition type is there once"]
    broken = [text for text, holds in RULES.items() if not holds(generation, observed_generation, by_type)]
    return twice + broken or _misread(generation, observed_generation, conditions)


def _misread(generation: int, observed_generation: int, conditions: Sequence[Condition]) -> list[str]:
    """A legal status has one meaning: Argo CD's check has to read it as kstatus does."""
    told = [one.model_dump(mode="json", by_alias=True) for one in conditions]
    status = {"observedGeneration": observed_generation, "conditions": told}
    obj = {"metadata": {"generation": generation}, "status": status}
    shown, meant = health("TrainingRun", obj)[0], as_kstatus(obj)
    return [] if shown == meant else [f"Argo CD shows {shown}, kstatus makes {meant} of it"]

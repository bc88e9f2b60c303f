"""The algebra of conditions: from a standing to the list that kstatus, Argo CD and `kubectl wait` read.

kstatus asks: Reconciling and Stalled only while true and never both; Ready always there and never Unknown at rest;
every condition stamped with the generation that it was computed from. Transition time follows a change of status
only (Kubernetes API conventions), so a status computed twice from the same facts is the same to the byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason

PASSING = frozenset(
    {
        Reason.SERVICE_UNREACHABLE,
        Reason.SERVICE_TIMEOUT,
        Reason.SERVER_FAULT,
        Reason.RATE_LIMITED,
        Reason.INVALID_RESPONSE,
        Reason.INCOMPLETE_LISTING,
        Reason.KUBERNETES_FAULT,
    }
)
"""Troubles whose words may differ from one answer to the next ("try again in 17 s"): the first ones stand."""


MESSAGE_LIMIT = 4096
"""Characters of a message that are kept; what a service says has no such limit."""


class Standing(StrEnum):
    """How an object stands, in kstatus' words."""

    CURRENT = "Current"
    """As declared: Ready=True."""
    IN_PROGRESS = "InProgress"
    """The operator is on it: Ready=False, Reconciling=True."""
    STALLED = "Stalled"
    """A person must change something: Ready=False, Stalled=True."""
    HELD = "Held"
    """Held back by the user (suspend): Ready=False alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say of one condition.

    Attributes:
        type: Which condition.
        status: True, False or Unknown.
        reason: Why, from the closed list.
        message: What happened and what to do; without times and counters, so that it does not flap.
    """

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


def standing_findings(standing: Standing, reason: Reason, message: str) -> tuple[Finding, ...]:
    """Returns Ready, and Reconciling or Stalled with it, as kstatus wants them."""
    ready = ConditionStatus.TRUE if standing is Standing.CURRENT else ConditionStatus.FALSE
    findings = [Finding(ConditionType.READY, ready, reason, message)]
    companion = {Standing.IN_PROGRESS: ConditionType.RECONCILING, Standing.STALLED: ConditionType.STALLED}.get(standing)
    if companion is not None:
        findings.append(Finding(companion, ConditionStatus.TRUE, reason, message))
    return tuple(findings)


def next_conditions(
    previous: Iterable[Condition], findings: Iterable[Finding], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Returns the conditions for these findings, in the order of ConditionType.

    Args:
        previous: Conditions of the status that stands now.
        findings: At most one for each type; a type without one is dropped.
        generation: metadata.generation that the findings were made from.
        now: Becomes lastTransitionTime where the status is new or changed.
    """
    before = {condition.type: condition for condition in previous}
    found = {finding.type: finding for finding in findings}
    return tuple(_condition(before.get(kind), found[kind], generation, now) for kind in ConditionType if kind in found)


def _condition(before: Condition | None, finding: Finding, generation: int, now: datetime) -> Condition:
    unchanged = before is not None and before.status == finding.status
    lasting = (
        before is not None
        and (before.status, before.reason, before.observed_generation) == (finding.status, finding.reason, generation)
        and finding.reason in PASSING
    )
    return Condition(
        type=finding.type,
        status=finding.status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
        reason=finding.reason,
        message=before.message if before is not None and lasting else finding.message[:MESSAGE_LIMIT],
    )


def findings_of(conditions: Iterable[Condition]) -> tuple[Finding, ...]:
    """Returns what was found when these conditions were written, to say it again while there is no news.

    Empty when one of them carries a word that another release wrote.
    """
    written = tuple(conditions)
    if not all(it.type in set(ConditionType) and it.reason in set(Reason) for it in written):
        return ()
    return tuple(Finding(ConditionType(it.type), it.status, Reason(it.reason), it.message) for it in written)


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """Returns the condition of this type, or None."""
    return next((condition for condition in conditions if condition.type == kind), None)

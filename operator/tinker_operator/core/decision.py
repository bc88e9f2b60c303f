"""The form of a decision about a TrainingRun: what to remember, what to do, how the object stands.

`journal` is the status that is written whatever becomes of the actions, so an intent is in status one round before
the call that carries it out.
"""

from dataclasses import dataclass, field

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.core.conditions import Finding, Standing, standing_findings
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.world import Action, Fault


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a TrainingRun.

    Attributes:
        journal: Status to write, conditions aside.
        standing: How the object stands.
        reason: Why, for Ready.
        message: What happened and what to do about it.
        plan: Actions and the next wake-up.
        fault: An answer that was missing; it shows as Synced=False.
    """

    journal: TrainingRunStatus
    standing: Standing
    reason: Reason
    message: str
    plan: Plan = field(default_factory=Plan)
    fault: Fault | None = None


def step(journal: TrainingRunStatus, reason: Reason, message: str, *actions: Action) -> Decision:
    """Returns a decision that goes on at once: with these actions, or by having its intent in status."""
    return Decision(journal, Standing.IN_PROGRESS, reason, message, Plan(actions, wake_after=AT_ONCE))


def recovering_message(status: TrainingRunStatus) -> str:
    """Returns what is said of an attempt under way."""
    return f"Run {status.training_run_id} is lost and is being restored from a checkpoint."


def held_up(journal: TrainingRunStatus, reason: Reason, message: str, fault: Fault) -> Decision:
    """Returns a decision that waits for an answer that could not be had."""
    if fault.needs_user:
        return Decision(journal, Standing.STALLED, fault.reason, fault.message, Plan(retry=True), fault)
    return Decision(journal, Standing.IN_PROGRESS, reason, message, Plan(retry=True), fault)


def stalled(journal: TrainingRunStatus, reason: Reason, message: str) -> Decision:
    """Returns a decision that waits for a person."""
    return Decision(journal, Standing.STALLED, reason, message)


def synced_finding(fault: Fault | None, *, observed: bool) -> Finding:
    """Returns Synced: whether the service answered, and well-formed."""
    if fault is not None:
        return Finding(ConditionType.SYNCED, ConditionStatus.FALSE, fault.reason, fault.message)
    if not observed:
        message = "The service has not been asked yet."
        return Finding(ConditionType.SYNCED, ConditionStatus.UNKNOWN, Reason.OBSERVING, message)
    return Finding(ConditionType.SYNCED, ConditionStatus.TRUE, Reason.OBSERVED, "The service answers.")


def decision_findings(decision: Decision, corrupted: Finding, *, observed: bool) -> tuple[Finding, ...]:
    """Returns every condition of a TrainingRun for this decision."""
    stands = standing_findings(decision.standing, decision.reason, decision.message)
    return (*stands, synced_finding(decision.fault, observed=observed), corrupted)

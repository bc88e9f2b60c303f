"""CheckpointFresh: whether training checkpoints still appear at their usual distance, where a schedule asks for them.

The distance is learned from the listing of runs that is polled anyway. Times are compared with times of the same
clock only: distances by the service's, the wait for the next checkpoint by the operator's.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import FreshnessStatus, SeenCheckpoint, TrainerPhase, TrainingRunStatus
from tinker_operator.api.schedule_spec import Schedule, ScheduleStrategy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import Finding, find_condition, findings_of
from tinker_operator.core.decision import Decision
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.schedule import Deciding
from tinker_operator.core.world import Absent, Fault, ObservedRun, RunView

PATIENCE = 3
"""Usual distances that may pass without a checkpoint."""
SEEN_LIMIT = 8
"""Checkpoints that the usual distance is told from: the newest."""
ENOUGH = 3
"""Checkpoints from which on there is a usual distance."""
FLOOR_POLLS = 2
"""Polls that the usual distance is at least: nothing shorter can be observed."""
_DIGITS = 18
"""Digits of a number that fits 64 bits."""
PERIODIC = frozenset({ScheduleStrategy.STEPS, ScheduleStrategy.EPOCH, ScheduleStrategy.ALL})
"""Strategies by which a loop that trains saves again and again. How good it is, or when it ends, has no period."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What there is to say of the checkpoints' distance.

    Attributes:
        memory: What to remember; None when no schedule is watched over.
        finding: The condition; None for none.
        wake_after: Seconds until a checkpoint would be overdue; None when none can be.
    """

    memory: FreshnessStatus | None = None
    finding: Finding | None = None
    wake_after: float | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The condition, if there is one."""
        return () if self.finding is None else (self.finding,)


def judge_freshness(
    run: TrainingRun,
    journal: TrainingRunStatus,
    view: RunView,
    held: Deciding | None,
    *,
    looked: datetime | None,
    now: datetime,
    is_unread: bool = False,
) -> Freshness:
    """Returns whether checkpoints are in time, and what to remember for the next look.

    Args:
        run: The object, with the status that stands.
        journal: The status that is going to be written.
        view: What the service says of the current run.
        held: The schedule that holds; None for none.
        looked: When the newest complete listing was had.
        now: The time of the decision.
        is_unread: Whether a policy that cannot be read may decide instead of that schedule.
    """
    if is_unread:
        known = run.status.freshness
        return Freshness() if known is None else Freshness(_not_waiting(known), _as_before(run))
    if held is None:
        return Freshness()
    memory = _remembered(run.status.freshness, journal, view, held.schedule, now)
    idle = _idle(run, journal, view, held.schedule)
    if idle is not None:
        return Freshness(_not_waiting(memory), idle)
    if not isinstance(view, ObservedRun) or view.corrupted:
        # Trouble of the service stops loops too, so that the wait begins anew after it. What was late stays late.
        unseen = isinstance(view, Fault) and not _was_overdue(run)
        return Freshness(_not_waiting(memory) if unseen else memory, _as_before(run))
    if memory is None or len(memory.checkpoints) < ENOUGH:
        message = "Too few checkpoints have appeared under the present schedule to tell their usual distance."
        return Freshness(memory, _unknown(Reason.DISTANCE_UNKNOWN, message))
    since = memory.seen_at or now
    memory = memory.model_copy(update={"seen_at": since})
    due = since + PATIENCE * usual_distance(memory, held.schedule, run.spec.poll_interval_seconds)
    if looked is not None and looked >= due:
        return Freshness(memory, _overdue(held.policy))
    # A look between the due time and now may be under way: what it finds counts, not what the clock says.
    left = max((due - now).total_seconds(), 0.0)
    return Freshness(memory, _in_time(), left or float(run.spec.poll_interval_seconds))


def with_freshness(decision: Decision, fresh: Freshness) -> Decision:
    """Returns the decision with the memory in its journal, and woken when a checkpoint would be overdue."""
    journal = decision.journal.model_copy(update={"freshness": fresh.memory})
    wakes = [one for one in (decision.plan.wake_after, fresh.wake_after) if one is not None]
    return replace(decision, journal=journal, plan=replace(decision.plan, wake_after=min(wakes, default=None)))


def usual_distance(memory: FreshnessStatus, schedule: Schedule, poll_seconds: float) -> timedelta:
    """Returns how far apart checkpoints usually appear, never less than what the schedule and the polls allow.

    It is the median of the distances seen. With saveBest checkpoints crowd while the metric improves, and what the
    periodic ones keep is the longest. Where steps are known, strategy Steps says what the distance has to be.

    Args:
        memory: At least two checkpoints.
        schedule: The schedule that they appeared under.
        poll_seconds: Time between two looks.
    """
    times = [one.time for one in memory.checkpoints]
    seen = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    usual = max(seen) if schedule.save_best else median(seen)
    floor = max(schedule.min_interval_seconds, FLOOR_POLLS * poll_seconds)
    return timedelta(seconds=max(usual, floor, _by_pace(memory, schedule)))


def _by_pace(memory: FreshnessStatus, schedule: Schedule) -> float:
    """Returns the seconds that saveEvery steps take, 0 where that cannot be told."""
    stepped = [(one.time, one.step) for one in memory.checkpoints if one.step is not None]
    if schedule.strategy is not ScheduleStrategy.STEPS or not stepped:
        return 0.0
    (began, first), (ended, last) = stepped[0], stepped[-1]
    return (ended - began).total_seconds() / (last - first) * schedule.save_every if last > first else 0.0


def _remembered(
    known: FreshnessStatus | None, journal: TrainingRunStatus, view: RunView, schedule: Schedule, now: datetime
) -> FreshnessStatus | None:
    """Returns the memory with the newest checkpoint in it; begun anew for another run or another cadence."""
    if journal.training_run_id is None:
        return None
    newest = journal.last_checkpoint.time if journal.last_checkpoint else None
    cadence = cadence_of(schedule)
    if known is None or (known.training_run_id, known.cadence) != (journal.training_run_id, cadence):
        return FreshnessStatus(training_run_id=journal.training_run_id, cadence=cadence, up_to=newest)
    last = known.checkpoints[-1].time if known.checkpoints else known.up_to
    if newest is None or (last is not None and newest <= last):
        return known
    seen = (*known.checkpoints, SeenCheckpoint(time=newest, step=_step_of(journal, view)))
    return known.model_copy(update={"seen_at": now, "checkpoints": seen[-SEEN_LIMIT:]})


def cadence_of(schedule: Schedule) -> str:
    """Returns what makes the distance of checkpoints, as text: all but how they are kept."""
    best = f" {schedule.metric.mode} {schedule.metric.name}" if schedule.save_best and schedule.metric else ""
    return f"{schedule.strategy} {schedule.save_every} {schedule.min_interval_seconds}{best}"


def _step_of(journal: TrainingRunStatus, view: RunView) -> int | None:
    last = view.last_checkpoint if isinstance(view, ObservedRun) else None
    if last is None or journal.last_checkpoint is None or last.path != journal.last_checkpoint.path:
        return None
    text = last.metadata.get("step", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _idle(run: TrainingRun, journal: TrainingRunStatus, view: RunView, schedule: Schedule) -> Finding | None:
    """Returns why no checkpoint is expected, None when one is."""
    if schedule.strategy not in PERIODIC:
        return _unknown(
            Reason.NOT_PERIODIC, f"Strategy {schedule.strategy} saves on an event, so no checkpoint is ever overdue."
        )
    if run.spec.suspend:
        return _unknown(Reason.SUSPENDED, "spec.suspend is true: no checkpoint is waited for.")
    if journal.trainer is not None and journal.trainer.phase is TrainerPhase.SUCCEEDED:
        return _unknown(Reason.COMPLETED, "The training is complete: no checkpoint is waited for.")
    if journal.recovery.in_flight is not None or _is_lost(view):
        return _unknown(Reason.RUN_CORRUPTED, "The run is lost: it cannot save any more.")
    return None


def _is_lost(view: RunView) -> bool:
    match view:
        case ObservedRun(corrupted=True, agreeing=agreeing) | Absent(agreeing=agreeing):
            return agreeing >= CONFIRMED
        case _:
            return False


def _not_waiting(memory: FreshnessStatus | None) -> FreshnessStatus | None:
    return memory.model_copy(update={"seen_at": None}) if memory is not None else None


def _was_overdue(run: TrainingRun) -> bool:
    before = find_condition(run.status.conditions, ConditionType.CHECKPOINT_FRESH)
    return before is not None and before.status is ConditionStatus.FALSE


def _as_before(run: TrainingRun) -> Finding:
    """Returns what was said before: where nothing is seen, or nothing confirmed, nothing is news."""
    before = find_condition(run.status.conditions, ConditionType.CHECKPOINT_FRESH)
    told = findings_of([before] if before is not None else [])
    return told[0] if told else _unknown(Reason.NOT_OBSERVED, "There is no observation of the run to tell from.")


def _in_time() -> Finding:
    message = "Training checkpoints appear at their usual distance."
    return Finding(ConditionType.CHECKPOINT_FRESH, ConditionStatus.TRUE, Reason.CHECKPOINTS_IN_TIME, message)


def _overdue(policy: str) -> Finding:
    message = (
        "No training checkpoint has appeared for thrice the usual distance, and CheckpointPolicy "
        f"{policy} asks for more. See whether the training loop runs, and what it says of its saves; a training that "
        "is over needs no TrainingRun, or suspend: true."
    )
    return Finding(ConditionType.CHECKPOINT_FRESH, ConditionStatus.FALSE, Reason.CHECKPOINT_OVERDUE, message)


def _unknown(reason: Reason, message: str) -> Finding:
    return Finding(ConditionType.CHECKPOINT_FRESH, ConditionStatus.UNKNOWN, reason, message)

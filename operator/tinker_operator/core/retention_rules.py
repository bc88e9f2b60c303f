"""What the numbers of a policy keep: each rule is a function from a group and its context to paths.

`retention` unites them. A new rule is such a function and a line in `RULES`; nothing else changes.

Only checkpoints of a known, past time are counted: one from the future would take the place of a real one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.recovery_spec import Metric
from tinker_operator.api.retention_spec import Retention
from tinker_operator.core.metrics import metric_value, rank_of, tells
from tinker_operator.core.policy_group import Group, is_training
from tinker_operator.core.policy_references import References
from tinker_operator.core.policy_verdicts import Known, identity
from tinker_operator.core.world import ObservedCheckpoint

_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
"""Hours, days and ISO weeks are counted from here: by differences, which no time can overflow."""
_CLOCK_STEP = timedelta(seconds=1)
"""The time to judge at has no fractions of a second, as metav1.Time has none; times of the service have."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a keeper may read beside the group.

    Attributes:
        retention: The rules' numbers.
        references: What all TrainingRuns refer to.
        now: The time to judge at.
        known: What the policy has proven; None where it proves nothing.
    """

    retention: Retention
    references: References
    now: datetime
    known: Known | None = None


Paths = AbstractSet[str]
Keeper = Callable[[Group, Context], Paths]
"""Returns the paths that it keeps; a path that is not judged does no harm."""


def paths_of(checkpoints: Iterable[ObservedCheckpoint]) -> Paths:
    """Returns the paths of these checkpoints."""
    return {checkpoint.path for checkpoint in checkpoints}


def is_past(time: datetime, now: datetime) -> bool:
    """Tells whether a time of the service has come: what happened within the second of `now` is past.

    Args:
        time: A time that the service gives.
        now: The time to judge at, in whole seconds.
    """
    return time <= now or time - now < _CLOCK_STEP


def has_age(checkpoint: ObservedCheckpoint, context: Context) -> bool:
    """Tells whether its time is known and past."""
    return checkpoint.time is not None and is_past(checkpoint.time, context.now)


def aged(group: Group, context: Context) -> list[ObservedCheckpoint]:
    """Returns the checkpoints that count, newest first."""
    return [it for it in group.checkpoints if has_age(it, context)]


def is_good(checkpoint: ObservedCheckpoint, context: Context) -> bool:
    """Tells whether training could resume from it, for all that is known: not empty, not expired, never refused."""
    expired = checkpoint.expires_at is not None and checkpoint.expires_at <= context.now
    return checkpoint.size_bytes != 0 and not expired and checkpoint.path not in context.references.refused


def _keep_last(group: Group, context: Context) -> Paths:
    return paths_of(aged(group, context)[: context.retention.keep_last or 0])


def _keep_best(group: Group, context: Context) -> Paths:
    """Of equal values the newer is better; what nothing could be restored from is no best."""
    best = context.retention.keep_best
    if best is None:
        return frozenset()
    values = ((it, metric_value(it, best.metric)) for it in aged(group, context) if is_good(it, context))
    ranked = sorted(
        ((it, rank_of(value, best.metric)) for it, value in values if value is not None), key=lambda e: e[1]
    )
    return paths_of(it for it, _ in ranked[: best.count])


def _keep_every_steps(group: Group, context: Context) -> Paths:
    every = context.retention.keep_every_steps
    if every is None:
        return frozenset()
    metric = _step_of(context.retention)
    steps = ((it, metric_value(it, metric)) for it in group.checkpoints)
    return paths_of(it for it, step in steps if step is not None and step % every == 0)


def _keep_within(group: Group, context: Context) -> Paths:
    seconds = context.retention.keep_within_seconds
    times = [(it.path, it.time) for it in aged(group, context) if it.time is not None]
    if seconds is None or not times:
        return frozenset()
    newest, span = times[0][1], timedelta(seconds=seconds)
    return {path for path, time in times if newest - time < span}


def _keep_names(group: Group, context: Context) -> Paths:
    globs = context.retention.keep_names or ()
    names = ((it.path, it.path.rpartition("/")[2]) for it in group.checkpoints) if globs else ()
    return {path for path, name in names if any(fnmatchcase(name, glob) for glob in globs)}


def _thinned(count_of: Callable[[Retention], int | None], width: timedelta) -> Keeper:
    """Keeps the newest of each of the newest spans of time, and the oldest of all while there are fewer spans.

    The oldest stays so that the history reaches back as far as it can until there is enough of it.
    """

    def keeps(group: Group, context: Context) -> Paths:
        count = count_of(context.retention)
        counted = aged(group, context) if count else []
        newest = _newest_of_spans(counted, width)
        oldest = counted[-1:] if count and len(newest) < count else []
        return paths_of((*newest[:count], *oldest))

    return keeps


def _newest_of_spans(newest_first: Sequence[ObservedCheckpoint], width: timedelta) -> list[ObservedCheckpoint]:
    spans: dict[int, ObservedCheckpoint] = {}
    for it in newest_first:
        if it.time is not None:
            spans.setdefault((it.time - _MONDAY) // width, it)
    return list(spans.values())


def _minimum_good(group: Group, context: Context) -> Paths:
    """What was found bad does not count, and yet loses nothing by that: what the floor kept before stays, too."""
    good = [it for it in aged(group, context) if is_training(it) and is_good(it, context)]
    proven = [it for it in good if context.known is not None and identity(it) in context.known.good]
    floor = context.retention.minimum_good
    return {*paths_of(good[:floor]), *paths_of(proven[:floor])}


def _not_validated(group: Group, context: Context) -> Paths:
    """Whatever is newer than the floor of proven ones, and has no verdict yet: it may turn out to be the floor."""
    missing, unknown = context.retention.minimum_good, set[str]()
    for it in aged(group, context) if context.known is not None else ():
        if missing and context.known is not None and is_training(it) and is_good(it, context):
            missing -= identity(it) in context.known.good
            unknown |= {it.path} if identity(it) not in context.known.good | context.known.bad else set()
    return unknown


def _no_metric(group: Group, context: Context) -> Paths:
    """A value that is no finite number is a value: a run that diverged is not protected by that."""
    best = context.retention.keep_best
    return frozenset() if best is None else paths_of(it for it in group.checkpoints if not tells(it, best.metric))


def _no_step(group: Group, context: Context) -> Paths:
    if context.retention.keep_every_steps is None:
        return frozenset()
    metric = _step_of(context.retention)
    return paths_of(it for it in group.checkpoints if metric_value(it, metric) is None)


def _step_of(retention: Retention) -> Metric:
    """The step is read as a metric is: from user_metadata, else from the name."""
    of_best = retention.keep_best.metric.name_pattern if retention.keep_best is not None else None
    return Metric(name="step", name_pattern=retention.name_pattern or of_best)


RULES: Mapping[KeepReason, Keeper] = {
    KeepReason.KEEP_LAST: _keep_last,
    KeepReason.KEEP_BEST: _keep_best,
    KeepReason.KEEP_EVERY_STEPS: _keep_every_steps,
    KeepReason.KEEP_WITHIN: _keep_within,
    KeepReason.KEEP_HOURLY: _thinned(lambda it: it.keep_hourly, timedelta(hours=1)),
    KeepReason.KEEP_DAILY: _thinned(lambda it: it.keep_daily, timedelta(days=1)),
    KeepReason.KEEP_WEEKLY: _thinned(lambda it: it.keep_weekly, timedelta(weeks=1)),
    KeepReason.KEEP_NAMES: _keep_names,
}
"""What a policy's rules keep; each policy its own, as far as maxTotalBytes allows."""

GUARDS: Mapping[KeepReason, Keeper] = {
    KeepReason.MINIMUM_GOOD: _minimum_good,
    KeepReason.NOT_VALIDATED: _not_validated,
    KeepReason.NO_METRIC: _no_metric,
    KeepReason.NO_STEP: _no_step,
}
"""What a policy's numbers protect; each policy its own, whatever maxTotalBytes says."""

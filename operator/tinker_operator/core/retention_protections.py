"""What stays whatever the numbers of a policy say: checkpoints that something needs, and those that prove no age.

`retention` unites them with the rules. A new protection is a function to paths and a line in `PROTECTIONS`.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from tinker_operator.api.policy_status import KeepReason
from tinker_operator.core.policy_group import Group, is_pinned, is_training
from tinker_operator.core.retention_rules import Context, Keeper, Paths, aged, has_age, paths_of
from tinker_operator.core.world import ObservedCheckpoint


def _newest_of_runs(group: Group, context: Context) -> Mapping[str, str]:
    return {it.run_id: it.path for it in reversed(aged(group, context))}


def _newest(group: Group, context: Context) -> Paths:
    return set(_newest_of_runs(group, context).values())


def _newest_training_of_runs(group: Group, context: Context) -> Mapping[str, str]:
    return {it.run_id: it.path for it in reversed(aged(group, context)) if is_training(it)}


def _recovering(group: Group, context: Context) -> AbstractSet[str]:
    flagged = group.recoverable & {run.run_id for run in group.observed if run.corrupted}
    return {run_id for run_id in group.listed if run_id in flagged or run_id in context.references.recovering}


def _corrupted_run(group: Group, context: Context) -> Paths:
    recovering = _recovering(group, context)
    troubled = [run for run in group.observed if run.corrupted or run.run_id in recovering]
    told = {run.last_checkpoint.path for run in troubled if run.last_checkpoint is not None}
    newest = _newest_training_of_runs(group, context)
    listed = {newest[run.run_id] for run in troubled if run.run_id in newest}
    return told | listed | _named(KeepReason.CORRUPTED_RUN)(group, context)


def _recovery_in_flight(group: Group, context: Context) -> Paths:
    candidates = {it.path for run_id in _recovering(group, context) for it in group.listed[run_id] if is_training(it)}
    return candidates | _named(KeepReason.RECOVERY_IN_FLIGHT)(group, context)


def _named(reason: KeepReason) -> Keeper:
    def keeps(group: Group, context: Context) -> Paths:
        named = context.references.named.get(reason)
        return {it.path for it in group.checkpoints if it.path in named} if named else frozenset()

    return keeps


def _if(test: Callable[[ObservedCheckpoint, Context], bool]) -> Keeper:
    return lambda group, context: paths_of(it for it in group.checkpoints if test(it, context))


PROTECTIONS: Mapping[KeepReason, Keeper] = {
    KeepReason.NEWEST: _newest,
    KeepReason.CORRUPTED_RUN: _corrupted_run,
    KeepReason.RECOVERY_IN_FLIGHT: _recovery_in_flight,
    KeepReason.RECOVERY_SOURCE: _named(KeepReason.RECOVERY_SOURCE),
    KeepReason.HANDED_OVER: _named(KeepReason.HANDED_OVER),
    KeepReason.SPECIFIC: _named(KeepReason.SPECIFIC),
    KeepReason.BEGUN_FROM: _named(KeepReason.BEGUN_FROM),
    KeepReason.VALIDATING: _named(KeepReason.VALIDATING),
    KeepReason.EXPORTING: _named(KeepReason.EXPORTING),
    KeepReason.PUBLISHED: _if(lambda it, _context: it.public),
    KeepReason.PINNED: _if(lambda it, _context: is_pinned(it)),
    KeepReason.FUTURE_TIME: _if(lambda it, context: not has_age(it, context)),
}
"""What stays whatever the numbers say."""

"""Which checkpoints exports need: they stay until they are at their target."""

from collections.abc import Iterable
from dataclasses import replace

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_spec import ExportWhat
from tinker_operator.api.export_status import ExportState
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.core.export_job import shown_target
from tinker_operator.core.policy_group import is_training
from tinker_operator.core.policy_references import References
from tinker_operator.core.policy_seen import Governed, governs
from tinker_operator.core.world import CheckpointsOf, ObservedCheckpoint


def with_exports(known: References, policies: Iterable[CheckpointPolicy], governed: Iterable[Governed]) -> References:
    """Returns the references with the checkpoints that exports need: one under way, and with `All` one that waits.

    Args:
        known: What TrainingRuns refer to.
        policies: All policies of the cluster.
        governed: The TrainingRuns whose checkpoints are judged, with their listings.
    """
    here = [it for it in policies if it.metadata.deletion_timestamp is None]
    exporting = [it for it in here if it.spec.export is not None or it.status.exports]
    if not exporting:
        return known
    begun = {it.path for one in exporting for it in one.status.exports if it.state is not ExportState.SUCCEEDED}
    of_all = [it for it in exporting if it.spec.export is not None and it.spec.export.what is ExportWhat.ALL]
    waiting = {it.path for one in of_all for it in _listed(one, known, governed) if not _is_there(it, one)}
    return replace(known, named={**known.named, KeepReason.EXPORTING: frozenset(begun | waiting)})


def _listed(policy: CheckpointPolicy, known: References, governed: Iterable[Governed]) -> Iterable[ObservedCheckpoint]:
    """The training checkpoints of every run that a TrainingRun of the policy follows."""
    listings = ((asked, answer) for one in governed for asked, answer in one.answers.items())
    for asked, answer in listings:
        if not isinstance(asked, CheckpointsOf) or not isinstance(answer, tuple):
            continue
        if any(governs(policy, run) for run in known.followers.get(asked.run_id, ())):
            yield from filter(is_training, answer)


def _is_there(it: ObservedCheckpoint, policy: CheckpointPolicy) -> bool:
    target = shown_target(policy.spec.export) if policy.spec.export is not None else None
    done = (one for one in policy.status.exports if one.state is ExportState.SUCCEEDED and one.target == target)
    return any((one.path, one.time, one.size_bytes) == (it.path, it.time, it.size_bytes) for one in done)

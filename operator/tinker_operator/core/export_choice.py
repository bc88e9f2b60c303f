"""Which checkpoints of each TrainingRun a policy wants at its target, by `spec.export.what`."""

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_spec import Export, ExportWhat
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.core.metrics import metric_value, rank_of
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_group import is_training
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.retention import Kept


def wanted_now(policy: CheckpointPolicy, export: Export, plan: PolicyPlan) -> list[Judged]:
    """Returns what is to be at the target, oldest first; never what has no certain time, or is about to go.

    Training checkpoints only: no other type can be downloaded.

    Args:
        policy: The policy.
        export: What it says of exports.
        plan: What retention saw and judged in this round.
    """
    going = {one.checkpoint.path for one in plan.pending}
    sure = [it for it in reversed(plan.judged) if it.checkpoint.time is not None and is_training(it.checkpoint)]
    stays = [it for it in sure if it.checkpoint.path not in going]
    if export.what is ExportWhat.ALL:
        return stays
    best = policy.spec.retention.keep_best
    chosen: dict[str, Judged] = {}
    for one in stays:
        if export.what is ExportWhat.LATEST:
            chosen[one.training_run] = one
        elif best is not None and isinstance(one.judgement, Kept) and KeepReason.KEEP_BEST in one.judgement.because:
            value, former = metric_value(one.checkpoint, best.metric), chosen.get(one.training_run)
            beaten = metric_value(former.checkpoint, best.metric) if former is not None else None
            better = beaten is None or (
                value is not None and rank_of(value, best.metric) <= rank_of(beaten, best.metric)
            )
            if value is not None and better:
                chosen[one.training_run] = one
    return list(chosen.values())

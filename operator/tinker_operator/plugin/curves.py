"""How the metric of a training run went: read from what its loop wrote beside each checkpoint.

`kubectl tinker status` draws it. The service is asked again only about a TrainingRun whose newest checkpoint or lineage
has changed, so that watching costs nothing at rest.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import Field

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import Metric
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import account_of
from tinker_operator.controllers.observer import remote_answer
from tinker_operator.core.metrics import metric_value
from tinker_operator.core.policy_references import followed_runs, run_key
from tinker_operator.core.policy_seen import governs
from tinker_operator.core.world import CheckpointKind, CheckpointsOf, Fault, ObservedCheckpoint
from tinker_operator.plugin.cluster import Cluster

LOSS = Metric(name="loss")
RUNS_DRAWN = 4
"""Runs of a lineage, the newest, whose checkpoints are drawn."""
DRAWN_LIMIT = 100
"""TrainingRuns, the first, that are drawn: no screen has more, and each costs calls to the service."""
LISTINGS_AT_ONCE = 8
GAP_PAUSE = timedelta(seconds=30)
"""How long a service that could not be asked is left alone, while the status is watched."""
_STEP = Metric(name="step")
RunKey = tuple[str, str]


class Point(ApiModel):
    """The metric at one checkpoint."""

    path: str = Field(description="Path of the checkpoint.")
    time: datetime = Field(description="When it was saved.")
    step: float | None = Field(default=None, description="Its step, if it says so.")
    value: float = Field(description="The metric.")


class Curve(ApiModel):
    """How a metric went."""

    metric: str = Field(description="Its name.")
    points: tuple[Point, ...] = Field(default=(), description="Training checkpoints that have it, oldest first.")
    gap: str | None = Field(default=None, description="Why they cannot be seen, if they cannot.")


def metric_of(run: TrainingRun, policies: Iterable[CheckpointPolicy]) -> Metric:
    """Returns what is drawn of a TrainingRun: what its recovery goes by, else what a policy does, else the loss."""
    if run.spec.recovery.metric is not None:
        return run.spec.recovery.metric
    for policy in policies:
        if governs(policy, run):
            best, schedule = policy.spec.retention.keep_best, policy.spec.schedule
            if best is not None:
                return best.metric
            if schedule is not None and schedule.metric is not None:
                return Metric(name=schedule.metric.name)
    return LOSS


def curve_of(checkpoints: Iterable[ObservedCheckpoint], metric: Metric) -> Curve:
    """Returns how the metric went over these checkpoints.

    Args:
        checkpoints: Of all runs of a lineage, in any order.
        metric: What is drawn.
    """
    points = [
        Point(path=it.path, time=it.time, step=metric_value(it, _STEP), value=value)
        for it in checkpoints
        if it.kind is CheckpointKind.TRAINING
        and it.time is not None
        and (value := metric_value(it, metric)) is not None
    ]
    return Curve(metric=metric.name, points=tuple(sorted(points, key=lambda it: (it.time, it.path))))


@dataclass(frozen=True, slots=True)
class _Known:
    state: object
    curve: Curve
    read_at: datetime

    def holds(self, state: object, now: datetime) -> bool:
        return self.state == state and (self.curve.gap is None or now - self.read_at < GAP_PAUSE)


@dataclass(slots=True)
class Curves:
    """The curves that are known."""

    _known: dict[RunKey, _Known] = field(default_factory=dict)

    async def of(
        self, cluster: Cluster, runs: Sequence[TrainingRun], policies: Sequence[CheckpointPolicy], now: datetime
    ) -> Mapping[RunKey, Curve]:
        """Returns the curves of the first TrainingRuns, asking the service where they may have changed.

        One that cannot be asked is not asked for the others that share its key.

        Args:
            cluster: Where keys are read.
            runs: The TrainingRuns.
            policies: The policies of their namespaces.
            now: When; what could not be seen is asked for again after a pause.
        """
        slots, silent, shown = asyncio.Semaphore(LISTINGS_AT_ONCE), dict[Account, str](), runs[:DRAWN_LIMIT]

        async def one(run: TrainingRun) -> Curve:
            metric = metric_of(run, policies)
            state = (followed_runs(run), run.status.last_checkpoint, metric)
            before = self._known.get(run_key(run))
            if before is not None and before.holds(state, now):
                return before.curve
            async with slots:
                account = account_of(run)
                gap = silent.get(account)
                curve = await _read(cluster, run, metric) if gap is None else Curve(metric=metric.name, gap=gap)
                if curve.gap is not None:
                    silent[account] = curve.gap
            self._known[run_key(run)] = _Known(state, curve, now)
            return curve

        for run in shown:  # so that equal accounts share one connection
            await cluster.client(run)
        return dict(zip(map(run_key, shown), await asyncio.gather(*map(one, shown)), strict=True))


async def _read(cluster: Cluster, run: TrainingRun, metric: Metric) -> Curve:
    client, found = await cluster.client(run), list[ObservedCheckpoint]()
    for run_id in followed_runs(run)[-RUNS_DRAWN:]:
        answer = client if isinstance(client, Fault) else await remote_answer(CheckpointsOf(run_id), client)
        if isinstance(answer, Fault):
            return Curve(metric=metric.name, gap=answer.message)
        found.extend(answer if isinstance(answer, tuple) else ())
    return curve_of(found, metric)

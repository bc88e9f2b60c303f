"""Whose key opens a checkpoint: that of the TrainingRun which follows its run, else one's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.translate import observed_checkpoint
from tinker_operator.core.world import ObservedCheckpoint
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.endings import Failed
from tinker_operator.plugin.place import Place
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import NotFound
from tinker_operator.tinker.paths import TinkerPath


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint within reach.

    Attributes:
        cluster: The cluster.
        run: The TrainingRun of the namespace that follows its run; None if there is none.
        client: The service.
        path: The checkpoint.
    """

    cluster: Cluster
    run: TrainingRun | None
    client: TinkerClient
    path: TinkerPath

    async def listed(self) -> ObservedCheckpoint:
        """Returns the checkpoint as the service lists it.

        Raises:
            Failed: It does not list it under this key.
            TinkerError: It did not answer.
        """
        run_id = self.path.training_run_id
        try:
            listed = await self.client.checkpoints(run_id)
        except NotFound:
            raise Failed(f"The service has no run {run_id} under this key: {_OTHER_KEY}") from None
        found = next((it for it in listed if it.tinker_path == str(self.path)), None)
        if found is None:
            raise Failed(
                f"The service does not list {self.path}: kubectl tinker checkpoints lists those that there are."
            )
        return observed_checkpoint(found, run_id)


_OTHER_KEY = "set TINKER_API_KEY to a key of its owner, or choose the namespace of its TrainingRun with -n."


@asynccontextmanager
async def opened(place: Place, path: TinkerPath) -> AsyncIterator[Opened]:
    """Gives a checkpoint within reach, and closes what was opened for it.

    Raises:
        Failed: There is no key that can be used.
        KubeError: The API server did not answer, or does not allow it.
    """
    async with Cluster.opened(place) as cluster:
        run = await cluster.follower_of(path.training_run_id)
        yield Opened(cluster, run, await cluster.service(run), path)

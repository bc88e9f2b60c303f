"""The calls about what the service keeps: runs and their checkpoints. They need no session."""

from collections.abc import AsyncIterator
from typing import Final

from tinker_operator.tinker import calls
from tinker_operator.tinker.connection import Connection
from tinker_operator.tinker.errors import InvalidResponse
from tinker_operator.tinker.listing import Page, whole_listing
from tinker_operator.tinker.models import Checkpoint, CheckpointPage, TrainingRun, TrainingRunPage, WeightsInfo
from tinker_operator.tinker.paths import TinkerPath

PAGE_LIMIT: Final = 100


class InventoryCalls(Connection):
    """Calls about runs and checkpoints."""

    async def list_training_runs(self) -> AsyncIterator[TrainingRun]:
        """Iterate over all runs of the key's owner; the first one comes only when the whole listing adds up.

        Raises:
            IncompleteListing: It did not, twice.
        """
        for run in await self.training_runs():
            yield run

    async def training_runs(self) -> tuple[TrainingRun, ...]:
        """Give all runs of the key's owner, or an error; never a part of them.

        Raises:
            IncompleteListing: The pages did not add up, twice.
        """
        return await whole_listing(self._training_run_page, lambda run: run.training_run_id, "training runs")

    async def get_training_run(self, run_id: str) -> TrainingRun:
        """Give one run.

        Raises:
            NotFound: The service has the call and not the run.
            RouteMissing: The service lacks the call, which says nothing about the run.
            InvalidResponse: The answer is no run, or another one.
        """
        run = await self._transport.ask(calls.training_run(run_id), TrainingRun)
        if run.training_run_id != run_id:
            raise InvalidResponse("The service answered with another training run than the one asked for")
        return run

    async def list_checkpoints(self, run_id: str) -> tuple[Checkpoint, ...]:
        """Give all checkpoints of a run, or an error; never a part of them.

        Raises:
            NotFound: No such run.
            IncompleteListing: The service counts more or fewer than it gave, twice.
        """

        async def page(offset: int) -> Page[Checkpoint]:
            found = await self._transport.ask(calls.checkpoints(run_id, offset), CheckpointPage)
            total = found.cursor.total_count if found.cursor else None
            return Page(found.checkpoints, total or offset + len(found.checkpoints), full=False)

        return await whole_listing(page, lambda checkpoint: checkpoint.tinker_path, "checkpoints")

    async def delete_checkpoint(self, path: TinkerPath) -> None:
        """Delete a checkpoint for good. Asked once: where the answer is lost, look at the listing before asking again.

        Raises:
            NotFound: It is not there.
            RouteMissing: The service cannot delete; nothing was deleted.
        """
        await self._transport.tell(calls.delete_checkpoint(path))

    async def weights_info(self, path: TinkerPath) -> WeightsInfo:
        """Say what a checkpoint was trained as. It alone does not prove that the checkpoint is there or good."""
        return await self._transport.ask(calls.weights_info(path), WeightsInfo)

    async def _training_run_page(self, offset: int) -> Page[TrainingRun]:
        found = await self._transport.ask(calls.training_runs(offset, PAGE_LIMIT), TrainingRunPage)
        total, limit = (found.cursor.total_count, found.cursor.limit) if found.cursor else (None, None)
        rows = found.training_runs
        return Page(rows, total or None, full=len(rows) in {PAGE_LIMIT, limit})

"""What the service keeps: runs and their checkpoints, listed whole. Needs no session."""

from collections.abc import AsyncIterator
from typing import TypeVar

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import AccessScope
from tinker_operator.tinker.dialects.pages import checkpoint_page
from tinker_operator.tinker.errors import InvalidResponse
from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.listing import Page, whole_listing
from tinker_operator.tinker.models import Checkpoint, CheckpointPage, TrainingRun, TrainingRunPage
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.reading import PAGE_LIMIT, RunReading, page_of
from tinker_operator.tinker.weights import WeightsCalls, parsed_path

T = TypeVar("T")


class InventoryCalls(WeightsCalls):
    """Calls about runs, and about all checkpoints of a run or of an owner."""

    async def list_training_runs(
        self, *, access_scope: AccessScope = "owned", project_id: str | None = None
    ) -> AsyncIterator[TrainingRun]:
        """Iterate over all runs as `training_runs` gives them; the first comes only when the whole listing adds up."""
        for run in await self.training_runs(access_scope=access_scope, project_id=project_id):
            yield run

    async def training_runs(
        self, *, access_scope: AccessScope = "owned", project_id: str | None = None
    ) -> tuple[TrainingRun, ...]:
        """Give all runs, or an error; never a part of them.

        Args:
            access_scope: Those of the key's owner, or all that the key may see.
            project_id: Those of one project; None for those of all.

        Raises:
            IncompleteListing: The pages did not add up, twice.
        """
        return await self._listed_runs(RunReading(lambda run: run, _run_id), access_scope, project_id)

    async def training_runs_as(self, reading: RunReading[T]) -> tuple[T, ...]:
        """Give all runs of the key's owner in a form of one's own, made page by page: no page is held longer.

        Args:
            reading: Makes the form; the same one for the next listing spares it the pages that come again.

        Raises:
            IncompleteListing: The pages did not add up, twice.
        """
        return await self._listed_runs(reading, "owned", None)

    async def _listed_runs(
        self, reading: RunReading[T], access_scope: AccessScope, project_id: str | None
    ) -> tuple[T, ...]:
        async def page(offset: int) -> Page[T]:
            answer = await self._transport.send(calls.training_runs(offset, PAGE_LIMIT, access_scope, project_id))
            return reading.page(answer, self._run_page)

        reading.begin()
        return await whole_listing(page, reading.identity, "training runs")

    def _run_page(self, answer: Answer) -> TrainingRunPage:
        return self._transport.read(answer, TrainingRunPage)

    async def get_training_run(self, run_id: str, *, access_scope: AccessScope = "owned") -> TrainingRun:
        """Give one run.

        Raises:
            NotFound: The service has the call and not the run.
            RouteMissing: The service lacks the call, which says nothing about the run.
            InvalidResponse: The answer is no run, or another one.
        """
        run = await self._transport.ask(calls.training_run(run_id, access_scope), TrainingRun)
        if run.training_run_id != run_id:
            raise InvalidResponse("The service answered with another training run than the one asked for")
        return run

    async def get_training_run_by_tinker_path(
        self, path: TinkerPath | str, *, access_scope: AccessScope = "owned"
    ) -> TrainingRun:
        """Give the run that a checkpoint belongs to; raises as `get_training_run`.

        Raises:
            InvalidTinkerPath: The path is none; nothing was asked.
        """
        return await self.get_training_run(parsed_path(path).training_run_id, access_scope=access_scope)

    async def list_checkpoints(self, run_id: str) -> AsyncIterator[Checkpoint]:
        """Iterate over the checkpoints of a run; the first comes only when the whole listing adds up.

        Raises:
            NotFound: No such run.
            IncompleteListing: The listing did not add up, twice.
        """
        for checkpoint in await self.checkpoints(run_id):
            yield checkpoint

    async def checkpoints(self, run_id: str) -> tuple[Checkpoint, ...]:
        """Give all checkpoints of a run, or an error; never a part of them.

        Raises:
            NotFound: No such run.
            IncompleteListing: The service counts more or fewer than it gave, twice.
        """

        async def page(offset: int) -> Page[Checkpoint]:
            found = await self._transport.ask(calls.checkpoints(run_id, offset), CheckpointPage)
            return checkpoint_page(found, offset)

        return await whole_listing(page, _tinker_path, "checkpoints")

    async def list_user_checkpoints(self) -> AsyncIterator[Checkpoint]:
        """Iterate over all checkpoints of the key's owner; the first comes only when the whole listing adds up.

        Raises:
            IncompleteListing: It did not, twice.
        """
        for checkpoint in await self.user_checkpoints():
            yield checkpoint

    async def user_checkpoints(self) -> tuple[Checkpoint, ...]:
        """Give all checkpoints of the key's owner, or an error; never a part of them.

        Raises:
            IncompleteListing: The pages did not add up, twice.
        """

        async def page(offset: int) -> Page[Checkpoint]:
            found = await self._transport.ask(calls.user_checkpoints(offset, PAGE_LIMIT), CheckpointPage)
            return page_of(found.checkpoints, found.cursor)

        return await whole_listing(page, _tinker_path, "checkpoints")


def _run_id(run: TrainingRun) -> str:
    return run.training_run_id


def _tinker_path(checkpoint: Checkpoint) -> str:
    return checkpoint.tinker_path

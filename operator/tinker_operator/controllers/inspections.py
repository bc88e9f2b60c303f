"""Looks into checkpoints: exports the run that holds one, streams the export to disk, judges its tensors.

That takes longer than a round may, so it goes on beside the rounds, each of which asks what has become of it. It is in
nobody's journal: after a crash it begins again, and the service knows the export by its number.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.refusals import refusal
from tinker_operator.core.world import Done, Fault, InspectExport, Outcome, StillPending, Unsound
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.download import ExportedFiles, download, inspect_export, way_to
from tinker_operator.tinker.download.checkpoint import ServiceExports
from tinker_operator.tinker.download.errors import ExportEmpty
from tinker_operator.tinker.errors import FuturePending, RouteMissing, TinkerError
from tinker_operator.tinker.paths import TinkerPath

WAIT_SECONDS: Final = 10.0
"""How long one round waits; a longer inspection is asked about again in the next round."""
EXPORT_NAME: Final = "validation"
EXPORT_SECONDS: Final = 3600
"""An export that is left behind by a crash ends by itself; the service takes no shorter time."""
LONGEST_SECONDS: Final = 1500.0
_FINDINGS_TOLD: Final = 3


@dataclass(slots=True)
class Inspections:
    """The inspections that are going on.

    Attributes:
        clock: Wall clock, timezone-aware.
    """

    clock: Callable[[], datetime]
    _tasks: dict[tuple[str, str], asyncio.Task[Outcome]] = field(default_factory=dict)

    async def run(self) -> None:
        """Keeps them until cancelled, which ends them all."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    async def inspect(self, action: InspectExport, client: TinkerClient) -> Outcome:
        """Begins an inspection, or asks what has become of it.

        Args:
            action: Which run, and what it should hold.
            client: The service.
        """
        key = (action.run_id, action.checkpoint)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._outcome(action, client))
        done, _ = await asyncio.wait({task}, timeout=WAIT_SECONDS)
        if not done:
            return StillPending()
        del self._tasks[key]
        return await task

    async def _outcome(self, action: InspectExport, client: TinkerClient) -> Outcome:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await self._inspected(action, client)
        except TimeoutError:
            message = f"{action.checkpoint} was not exported and read in time. It is tried again."
            return Fault(Reason.SERVICE_TIMEOUT, message)
        except RouteMissing as error:
            message = f"The service cannot export checkpoints ({error.message}). Choose level Load for the validation."
            return Fault(Reason.UNEXPECTED_STATUS, message, needs_user=True)
        except ExportEmpty as error:
            return Unsound(error.message)
        except TinkerError as error:
            return refusal(error)

    async def _inspected(self, action: InspectExport, client: TinkerClient) -> Outcome:
        exports = ServiceExports(client)
        export = await _exported(action, exports)
        try:
            with TemporaryDirectory(prefix="tinker-operator-") as folder:
                target = Path(folder) / "export"
                async with way_to(client.base_url, self.clock) as way:
                    await download(ExportedFiles(exports, export), target, way)
                found = await asyncio.to_thread(
                    inspect_export, target, expected_rank=action.lora_rank, expected_base_model=action.base_model
                )
        finally:
            with suppress(TinkerError):
                await client.delete_checkpoint(export)
        if found.is_sound:
            return Done()
        return Unsound(" ".join(str(finding) for finding in found.findings[:_FINDINGS_TOLD]))


async def _exported(action: InspectExport, exports: ServiceExports) -> TinkerPath:
    while True:
        with suppress(FuturePending):
            return await exports.save_weights_external(
                model_id=action.run_id,
                seq_id=1,
                name=EXPORT_NAME,
                ttl_seconds=EXPORT_SECONDS,
                wait_seconds=WAIT_SECONDS,
            )

"""What every operation works with: records, files, time, and the models that are being trained."""

from collections import OrderedDict
from dataclasses import dataclass

from tinker_simulator.archive import Archive, BrokenContentError, live_from, live_of
from tinker_simulator.clock import Clock
from tinker_simulator.execution.completion import OperationFailedError
from tinker_simulator.faults import FaultBook
from tinker_simulator.learning.adapter import AdapterConfig, AdapterState
from tinker_simulator.records import FailureCategory, RunRecord
from tinker_simulator.storage.store import Store

_LIVE_MODELS = 256


@dataclass(frozen=True, slots=True)
class Workbench:
    """The parts an operation needs."""

    store: Store
    archive: Archive
    clock: Clock
    faults: FaultBook
    models: "Models"

    def run_of(self, owner: str, run_id: str) -> RunRecord:
        """The run an operation is for, if it can still be trained.

        Raises:
            OperationFailedError: it was corrupted or lost since the operation was submitted.
        """
        run = self.store.runs.get(owner, run_id)
        if run is None:
            raise OperationFailedError(f"Model {run_id} is gone.", FailureCategory.SERVER)
        if run.corrupted:
            raise OperationFailedError(
                f"Model {run_id} is in a corrupted state. Create a new one from its last checkpoint.",
                FailureCategory.SERVER,
            )
        return run

    def stored_state(self, file: str, config: AdapterConfig, path: str, *, optimizer: bool) -> AdapterState:
        """The content of a checkpoint.

        Raises:
            OperationFailedError: it is broken.
        """
        try:
            return self.archive.read(file, config, optimizer=optimizer)
        except BrokenContentError as broken:
            raise OperationFailedError(
                f"Failed to load checkpoint {path}: {broken}. Load another checkpoint."
            ) from broken

    def drop_unused(self, file: str) -> None:
        """Delete content that no checkpoint and no sampling session refers to any more."""
        if not self.store.checkpoints.uses(file) and not self.store.samplers.uses(file):
            self.archive.remove(file)


class Models:
    """The live models: in memory while they are in use, in the store always.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._states: OrderedDict[str, AdapterState] = OrderedDict()

    def state(self, run_id: str) -> AdapterState:
        """The model as its last operation left it.

        Raises:
            OperationFailedError: the run has no model (a seeded one never had).
        """
        if run_id not in self._states:
            content = self._store.runs.state(run_id)
            if content is None:
                raise OperationFailedError(f"Model {run_id} is not loaded.", FailureCategory.SERVER)
            self.adopt(run_id, live_from(content))
        self._states.move_to_end(run_id)
        return self._states[run_id]

    def keep(self, run_id: str, state: AdapterState) -> None:
        """Store the model; `adopt` it once that is committed."""
        self._store.runs.keep_state(run_id, live_of(state))

    def adopt(self, run_id: str, state: AdapterState) -> None:
        """Work on with this state."""
        self._states[run_id] = state
        self._states.move_to_end(run_id)
        while len(self._states) > _LIVE_MODELS:
            self._states.popitem(last=False)

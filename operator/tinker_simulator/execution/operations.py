"""Which operation does what."""

from collections.abc import Awaitable, Callable, Mapping

from tinker_simulator.execution import creating, drawing, saving, stepping
from tinker_simulator.execution.completion import Completion
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.records import FutureRecord, Operation

_OPERATIONS: Mapping[Operation, Callable[[Workbench, FutureRecord], Awaitable[Completion]]] = {
    Operation.CREATE_MODEL: creating.create_model,
    Operation.CREATE_FROM_WEIGHTS: creating.create_from_weights,
    Operation.LOAD_WEIGHTS: creating.load_weights,
    Operation.FORWARD_BACKWARD: stepping.forward_backward,
    Operation.OPTIM_STEP: stepping.optim_step,
    Operation.SAVE_WEIGHTS: saving.save_weights,
    Operation.SAVE_WEIGHTS_FOR_SAMPLER: saving.save_weights_for_sampler,
    Operation.SAVE_WEIGHTS_EXTERNAL: saving.save_weights_external,
    Operation.SAMPLE: drawing.draw,
}


async def perform(bench: Workbench, future: FutureRecord) -> Completion:
    """Do one operation.

    Raises:
        OperationFailedError: it ends the future with an error.
    """
    return await _OPERATIONS[future.operation](bench, future)

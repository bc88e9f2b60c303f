"""Training steps: gradients by `forward_backward`, weights by `optim_step`."""

import asyncio
from functools import partial

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.execution.batches import examples_of, loss_config_of
from tinker_simulator.execution.completion import (
    Completion,
    OperationFailedError,
    json_completion,
    nothing,
    protobuf_completion,
)
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.losses import LossInputError
from tinker_simulator.learning.training import AdamW, Gradients, adamw
from tinker_simulator.learning.training import forward_backward as pass_over
from tinker_simulator.records import FutureRecord
from tinker_simulator.requests import AdamParams, OptimStep


async def forward_backward(bench: Workbench, future: FutureRecord) -> Completion:
    """Sum the gradient over the batch; with `forward_only` nothing changes."""
    asked = wire.ForwardBackwardRequest.FromString(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    state = bench.models.state(run.run_id)
    try:
        gradients = await asyncio.to_thread(
            pass_over,
            run.config.base_model,
            state,
            examples_of(asked),
            asked.loss_fn,
            loss_config_of(asked),
            forward_only=asked.forward_only,
        )
    except LossInputError as unfit:
        raise OperationFailedError(str(unfit)) from unfit
    result = _output(gradients).SerializeToString()
    if asked.forward_only:
        return protobuf_completion(result, nothing, nothing)
    return protobuf_completion(
        result,
        keep=partial(bench.models.keep, run.run_id, gradients.state),
        settle=partial(bench.models.adopt, run.run_id, gradients.state),
    )


async def optim_step(bench: Workbench, future: FutureRecord) -> Completion:
    """Spend the summed gradient; a run that was ordered not to survive this step is corrupted by it."""
    asked = OptimStep.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    settings = AdamW(**(asked.adam_params or AdamParams()).model_dump())
    try:
        state, norm = adamw(bench.models.state(run.run_id), settings)
    except OverflowError as endless:
        raise OperationFailedError(str(endless)) from endless
    if bench.faults.corrupts(run.run_id, state.step):
        bench.store.runs.corrupt(run.run_id)
        bench.run_of(future.owner, run.run_id)
    return json_completion(
        {"metrics": {"gradient_norm": norm}, "type": "optim_step"},
        keep=partial(bench.models.keep, run.run_id, state),
        settle=partial(bench.models.adopt, run.run_id, state),
    )


def _output(gradients: Gradients) -> wire.ForwardBackwardOutput:
    lengths = [values.nbytes for values in gradients.logprobs]
    trailing = gradients.logprobs[0].shape[1:] if gradients.logprobs else ()
    record = wire.ArrayRecord(num_datums=len(gradients.logprobs))
    record.fields["logprobs"].CopyFrom(
        wire.BatchedTensor(
            data=b"".join(values.astype("<f4").tobytes() for values in gradients.logprobs),
            offsets=np.cumsum([0, *lengths], dtype="<i8").tobytes(),
            dtype=wire.DTYPE_FLOAT32,
            trailing_shape=trailing,
        )
    )
    return wire.ForwardBackwardOutput(
        loss_fn_output_type="ArrayRecord", loss_fn_outputs=[record], metrics={"loss:sum": gradients.loss}
    )

"""Trains one run: the operations of a training loop, in order, under the names that users of the official SDK know.

Awaiting an operation submits it; awaiting what it gives waits for the result. A loop that submits the gradient and the
step before it waits for either keeps the service busy.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from pydantic import SecretStr

from tinker_operator.tinker import operations
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.live.calls import LiveCalls
from tinker_operator.tinker.live.lane import Lane
from tinker_operator.tinker.live.sampling_client import SamplingClient
from tinker_operator.tinker.live.session import LiveSession
from tinker_operator.tinker.models import ModelInfo, WeightsLoaded
from tinker_operator.tinker.operations import Operation
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.payload.batching import combined, portions
from tinker_operator.tinker.payload.training import (
    AdamParams,
    Datum,
    ForwardBackwardOutput,
    LossConfig,
    LossName,
    OptimStepOutput,
)
from tinker_operator.tinker.pending import Pending, joined
from tinker_operator.tinker.weights import parsed_path
from tinker_operator.tinker.weights_models import Saved

T = TypeVar("T")


class TrainingClient:
    """One run that is being trained; `TinkerClient.create_training_client` and its siblings make it.

    Many tasks may use one at a time: their operations are submitted one after the other, in the order in which they
    were called. Every operation raises TinkerError when it is not taken; what to do when no answer came is told at
    `abandon`.

    Args:
        calls: What it speaks through.
        session: The session it lives in.
        info: What the run is.
        first: The number of its first operation.
    """

    def __init__(self, calls: LiveCalls, session: LiveSession, info: ModelInfo, first: int = 1) -> None:
        self.info = info
        self._calls = calls
        self._session = session
        self._lane = Lane(calls.submit, first)
        self._snapshots: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_id!r})"

    @property
    def model_id(self) -> str:
        """The run's id."""
        return self.info.model_id

    @property
    def training_run_id(self) -> str:
        """The run's id, by its other name."""
        return self.info.model_id

    async def get_info(self) -> ModelInfo:
        """Ask what the run is.

        Raises:
            NotFound: The service does not have its model any more.
        """
        return await self._calls.get_info(self.model_id)

    async def forward_backward(
        self, data: Iterable[Datum], loss_fn: LossName, loss_fn_config: LossConfig | None = None
    ) -> Pending[ForwardBackwardOutput]:
        """Sum the gradient of a loss over a batch, on top of what was summed since the last step.

        A batch that is larger than the service takes is sent in portions, whose results are joined. When one of them
        is refused, the portions before it stay summed.

        Args:
            data: The examples.
            loss_fn: The loss.
            loss_fn_config: What the loss can be tuned by.

        Raises:
            CallNotPossible: The batch is empty, or holds what cannot be written.
        """
        return await self._pass(data, loss_fn, loss_fn_config, forward_only=False)

    async def forward(
        self, data: Iterable[Datum], loss_fn: LossName, loss_fn_config: LossConfig | None = None
    ) -> Pending[ForwardBackwardOutput]:
        """Compute a loss and leave the gradient alone; otherwise as `forward_backward`."""
        return await self._pass(data, loss_fn, loss_fn_config, forward_only=True)

    async def optim_step(self, optim_params: AdamParams) -> Pending[OptimStepOutput]:
        """Change the weights by the summed gradient, which is spent by that."""
        return await self._one(lambda number: operations.optim_step(self.model_id, number, optim_params))

    async def save_state(
        self,
        name: str,
        ttl_seconds: int | None = None,
        overwrite: bool = False,
        user_metadata: Mapping[str, str] | None = None,
    ) -> Pending[Saved]:
        """Store weights and optimizer state, for training to go on from.

        Args:
            name: The checkpoint's name in the run.
            ttl_seconds: How long it lives, an hour to ten years; None for ever.
            overwrite: Whether to replace one of the same name, with all of its metadata.
            user_metadata: Kept with it.

        Raises:
            Conflict: There is one of the name already.
        """
        return await self._one(
            lambda number: operations.save_weights(
                self.model_id,
                number,
                name,
                ttl_seconds=ttl_seconds,
                overwrite=overwrite,
                user_metadata=user_metadata,
            )
        )

    async def load_state(
        self, path: TinkerPath | str, weights_access_token: SecretStr | None = None
    ) -> Pending[WeightsLoaded]:
        """Load the weights of a checkpoint into this run; its optimizer starts anew.

        Services may drop this older form: `create_training_client_from_state` makes a run of the checkpoint.
        """
        return await self._load(path, weights_access_token, optimizer=False)

    async def load_state_with_optimizer(
        self, path: TinkerPath | str, weights_access_token: SecretStr | None = None
    ) -> Pending[WeightsLoaded]:
        """Load weights and optimizer state of a checkpoint into this run; an older form, as `load_state`."""
        return await self._load(path, weights_access_token, optimizer=True)

    async def save_weights_for_sampler(
        self, name: str, ttl_seconds: int | None = None, user_metadata: Mapping[str, str] | None = None
    ) -> Pending[Saved]:
        """Store a checkpoint to sample from; arguments as of `save_state`."""
        return await self._one(
            lambda number: operations.save_weights_for_sampler(
                self.model_id, number, name, ttl_seconds=ttl_seconds, user_metadata=user_metadata
            )
        )

    async def save_weights_and_get_sampling_client(self) -> Pending[SamplingClient]:
        """Sample from the weights of this moment; no checkpoint is stored."""
        snapshot = await self._one(self._snapshot)
        return snapshot.then(lambda sampler: SamplingClient(self._calls, sampler, self._session.config))

    async def save_weights_external(
        self, name: str, ttl_seconds: int | None = None, age_recipients: Sequence[str] = ()
    ) -> Pending[Saved]:
        """Store the weights as files for use outside the service.

        Args:
            name: The checkpoint's name in the run.
            ttl_seconds: As of `save_state`.
            age_recipients: Public keys, of age or SSH, that alone can open the files; none leaves them open.
        """
        return await self._one(
            lambda number: operations.save_weights_external(
                self.model_id, number, name, ttl_seconds=ttl_seconds, age_recipients=age_recipients
            )
        )

    def abandon(self) -> None:
        """Leave behind an operation to which no answer came.

        When a connection breaks for longer than the client repeats the call, nobody knows whether the service took
        the operation. The client then refuses every other one: call the same again with the same arguments, and the
        service does it once however often it was sent. Whoever cannot do that abandons it, and knows that it was
        done or was not.
        """
        self._lane.abandon()

    def _snapshot(self, number: int) -> Operation[str]:
        """Number the sampling session once per operation, also when that one is sent again."""
        if number not in self._snapshots:
            self._snapshots = {number: self._session.next_sampler()}
        return operations.snapshot_for_sampler(self.model_id, number, self._snapshots[number])

    async def _load(
        self, path: TinkerPath | str, token: SecretStr | None, *, optimizer: bool
    ) -> Pending[WeightsLoaded]:
        checkpoint = parsed_path(path)
        if token is not None:
            self._calls.hide(token)
        return await self._one(
            lambda number: operations.load_weights_into(
                self.model_id, number, checkpoint, optimizer=optimizer, weights_access_token=token
            )
        )

    async def _pass(
        self, data: Iterable[Datum], loss_fn: str, config: LossConfig | None, *, forward_only: bool
    ) -> Pending[ForwardBackwardOutput]:
        limits = self._session.config
        parts = list(portions(data, limits.fwdbwd_max_chunk_len, limits.fwdbwd_max_chunk_bytes_count))
        if not parts:
            raise CallNotPossible("The batch is empty", "Give at least one example.")

        def make(first: int) -> list[Operation[ForwardBackwardOutput]]:
            return [
                operations.forward_backward(self.model_id, number, part, loss_fn, config, forward_only=forward_only)
                for number, part in enumerate(parts, first)
            ]

        return joined(await self._lane.take(make), combined, self._calls.monotonic)

    async def _one(self, make: Callable[[int], Operation[T]]) -> Pending[T]:
        (pending,) = await self._lane.take(lambda number: [make(number)])
        return pending

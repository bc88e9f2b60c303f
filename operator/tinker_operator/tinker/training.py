"""The calls that make runs and ask about live models; their work is done in the background, as futures."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, SecretStr

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.connection import NO_METADATA, Connection
from tinker_operator.tinker.errors import InvalidResponse
from tinker_operator.tinker.models import (
    FutureSubmitted,
    LoraConfig,
    ModelInfo,
    ModelInfoAnswer,
    ModelMade,
    WeightsLoaded,
)
from tinker_operator.tinker.operations import Operation
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.pending import Pending

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class TrainingCalls(Connection):
    """Calls about models."""

    async def create_model(
        self,
        *,
        session_id: str,
        model_seq_id: int,
        base_model: str,
        lora: LoraConfig,
        user_metadata: Mapping[str, str] = NO_METADATA,
        wait_seconds: float,
    ) -> str:
        """Make a fresh run and give its id; the same (session_id, model_seq_id) again continues, never makes a second.

        Raises:
            FuturePending: It was submitted and is not ready within `wait_seconds`; call again with the same ids.
            FutureFailed: The service could not make it.
        """
        call = calls.create_model(session_id, model_seq_id, base_model, lora, user_metadata)
        return (await self._made(call, wait_seconds, ModelMade)).model_id

    async def load_weights(
        self,
        *,
        session_id: str,
        model_seq_id: int,
        path: TinkerPath,
        optimizer: bool,
        user_metadata: Mapping[str, str] = NO_METADATA,
        base_model: str | None = None,
        weights_access_token: SecretStr | None = None,
        wait_seconds: float,
    ) -> str:
        """Make a run from a checkpoint and give its id; rank and base model are the checkpoint's own.

        Args:
            session_id: The session the run belongs to.
            model_seq_id: Its number in the session; the same one again continues, never makes a second run.
            path: A training checkpoint.
            optimizer: Whether to restore the optimizer's state as well.
            user_metadata: The new run's own; the service inherits none.
            base_model: What the checkpoint must have been trained on; None does not say.
            weights_access_token: Opens a checkpoint of another account.
            wait_seconds: How long to wait for the result.

        Raises:
            FuturePending: It was submitted and is not ready within `wait_seconds`; call again with the same ids.
            FutureFailed: The checkpoint cannot be loaded.
        """
        if weights_access_token is not None:
            self._transport.hide(weights_access_token)
        call = calls.load_weights(
            session_id,
            model_seq_id,
            path,
            optimizer,
            user_metadata,
            base_model=base_model,
            weights_access_token=weights_access_token,
        )
        loaded = await self._made(call, wait_seconds, WeightsLoaded)
        return loaded.model_id or f"{session_id}:train:{model_seq_id}"

    async def get_info(self, model_id: str) -> ModelInfo:
        """Say what a live model is.

        Raises:
            NotFound: No such model.
            InvalidResponse: The answer is about another model.
        """
        info = (await self._transport.ask(calls.get_info(model_id), ModelInfoAnswer)).read()
        if info.model_id != model_id:
            raise InvalidResponse("The service answered with another model than the one asked for")
        return info

    async def submit(self, operation: Operation[T]) -> Pending[T]:
        """Submit an operation; give what its result is waited for with.

        Raises:
            TinkerError: It was refused, or no answer says that it was taken.
        """
        submitted = await self._transport.ask(operation.call, FutureSubmitted)

        async def fetch(deadline: float) -> T:
            answer = await self._futures.result(submitted.request_id, deadline, protobuf=operation.protobuf)
            return operation.read(self._transport, answer)

        return Pending(fetch, self._transport.keeper.monotonic, [submitted.request_id])

    async def cancel_future(self, request_id: str) -> None:
        """Say that nobody waits for a result any more; the service may stop the work, or not."""
        await self._transport.tell(calls.cancel_future(request_id))

    async def _made(self, call: Call, wait_seconds: float, model: type[M]) -> M:
        """Submit work and wait for what it made."""
        deadline = self._transport.keeper.monotonic() + wait_seconds
        submitted = await self._transport.ask(call, FutureSubmitted)
        return self._transport.read(await self._futures.result(submitted.request_id, deadline), model)

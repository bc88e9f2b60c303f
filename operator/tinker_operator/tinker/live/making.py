"""Makes the clients that live in a session; the part of `TinkerClient` that users of the official SDK know best."""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from math import inf
from typing import Any

from pydantic import SecretStr, ValidationError

from tinker_operator.tinker.calls import FinishReason
from tinker_operator.tinker.connection import NO_METADATA
from tinker_operator.tinker.dialects.restoring import Restored
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.live.calls import LiveCalls
from tinker_operator.tinker.live.sampling_client import SamplingClient
from tinker_operator.tinker.live.session import LiveSession
from tinker_operator.tinker.live.training_client import TrainingClient
from tinker_operator.tinker.models import LoraConfig
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.weights import parsed_path


class ClientMaking(LiveCalls):
    """Training and sampling clients, which share one session.

    It is opened when the first of them is made and beats every ten seconds. Leaving the client finishes it: with
    `success`, with `interrupted` when the task is cancelled, with `errored` at any other exception.
    """

    @cached_property
    def _session(self) -> LiveSession:
        return LiveSession(self, self._transport.keeper, self._terms)

    async def create_training_client(
        self,
        base_model: str,
        rank: int = 32,
        seed: int | None = None,
        *,
        train_mlp: bool = True,
        train_attn: bool = True,
        train_unembed: bool = True,
        user_metadata: Mapping[str, str] | None = None,
        wait_seconds: float = inf,
    ) -> TrainingClient:
        """Make a fresh run and give what trains it.

        Args:
            base_model: What to fine-tune.
            rank: The LoRA rank.
            seed: Of the adapter's first weights; None lets the service choose.
            train_mlp: Whether to train the layers between attentions,
            train_attn: the attentions, and
            train_unembed: the last layer.
            user_metadata: Kept with the run.
            wait_seconds: How long to wait for it.

        Raises:
            CallNotPossible: The rank or the seed is no number that it can be.
            BadRequest: The service does not have the model, or not in this rank.
            FuturePending: It is not ready in time.
        """
        lora = _adapter(rank=rank, seed=seed, train_mlp=train_mlp, train_attn=train_attn, train_unembed=train_unembed)
        run_id = await self.create_model(
            session_id=await self._session.opened(),
            model_seq_id=self._session.next_model(),
            base_model=base_model,
            lora=lora,
            user_metadata=user_metadata or NO_METADATA,
            wait_seconds=wait_seconds,
        )
        return TrainingClient(self, self._session, await self.get_info(run_id))

    async def create_training_client_from_state(
        self,
        path: TinkerPath | str,
        user_metadata: Mapping[str, str] | None = None,
        *,
        weights_access_token: SecretStr | None = None,
        wait_seconds: float = inf,
    ) -> TrainingClient:
        """Make a run from a checkpoint's weights and give what trains it; its optimizer starts anew.

        Args:
            path: A training checkpoint.
            user_metadata: Kept with the new run, which inherits none.
            weights_access_token: Opens a checkpoint of another account.
            wait_seconds: How long to wait for it.

        Raises:
            NotFound: No such checkpoint.
            BadRequest: Training cannot go on from it.
            FutureFailed: It does not load.
            FuturePending: It is not loaded in time.
        """
        return await self._resumed(path, user_metadata, weights_access_token, wait_seconds, optimizer=False)

    async def create_training_client_from_state_with_optimizer(
        self,
        path: TinkerPath | str,
        user_metadata: Mapping[str, str] | None = None,
        *,
        weights_access_token: SecretStr | None = None,
        wait_seconds: float = inf,
    ) -> TrainingClient:
        """Make a run that goes on exactly where a checkpoint was saved; otherwise as the method without optimizer."""
        return await self._resumed(path, user_metadata, weights_access_token, wait_seconds, optimizer=True)

    async def create_sampling_client(
        self, model_path: TinkerPath | str | None = None, base_model: str | None = None
    ) -> SamplingClient:
        """Give what samples from a checkpoint, of either kind, or from a base model.

        Raises:
            CallNotPossible: Neither is given.
            NotFound: No such checkpoint.
        """
        sampler = await self.create_sampling_session(
            session_id=await self._session.opened(),
            sampling_session_seq_id=self._session.next_sampler(),
            model_path=None if model_path is None else str(parsed_path(model_path)),
            base_model=base_model,
        )
        return SamplingClient(self, sampler, self._session.config)

    async def close(self, reason: FinishReason = "success", detail: str | None = None) -> None:
        """Finish the session, if one was opened, and close the connections; no call is possible afterwards."""
        try:
            await self._session.close(reason, detail)
        finally:
            await super().close()

    async def __aexit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if kind is None:
            await self.close()
        elif issubclass(kind, asyncio.CancelledError | KeyboardInterrupt):
            await self.close("interrupted")
        else:
            await self.close("errored", kind.__name__)

    async def _resumed(
        self,
        path: TinkerPath | str,
        user_metadata: Mapping[str, str] | None,
        token: SecretStr | None,
        wait_seconds: float,
        *,
        optimizer: bool,
    ) -> TrainingClient:
        """Load in one call where the service can; where it cannot, the load was the run's first operation."""
        checkpoint, metadata = parsed_path(path), user_metadata or NO_METADATA
        session_id, number = await self._session.opened(), self._session.next_model()
        if token is None:
            restored = await self._restored(
                session_id=session_id,
                model_seq_id=number,
                path=checkpoint,
                optimizer=optimizer,
                user_metadata=metadata,
                wait_seconds=wait_seconds,
            )
        else:
            loaded = await self.load_weights(
                session_id=session_id,
                model_seq_id=number,
                path=checkpoint,
                optimizer=optimizer,
                user_metadata=metadata,
                weights_access_token=token,
                wait_seconds=wait_seconds,
            )
            restored = Restored(loaded, operations=0)
        info = await self.get_info(restored.run_id)
        return TrainingClient(self, self._session, info, first=1 + restored.operations)


def _adapter(**fields: Any) -> LoraConfig:
    """Describe the adapter to train.

    Raises:
        CallNotPossible: A field is not what it can be.
    """
    try:
        return LoraConfig.model_validate(fields)
    except ValidationError as fault:
        cause = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in fault.errors())
    raise CallNotPossible(f"There is no such LoRA adapter ({cause})")

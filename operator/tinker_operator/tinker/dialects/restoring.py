"""Restoring a run from a checkpoint at any service; what the operator's recovery calls.

Official services do it in one call. Others have an older form only: the checkpoint says what it was trained as, a
blank run of that kind is made, the checkpoint is loaded into it. There the run exists before it is loaded, so that
its existence proves nothing, which is why it gets a number of its own and may carry other metadata.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from tinker_operator.tinker import calls
from tinker_operator.tinker.connection import NO_METADATA
from tinker_operator.tinker.dialects.capabilities import Capabilities, Support
from tinker_operator.tinker.dialects.probing import probe
from tinker_operator.tinker.dialects.refusals import lacks_create_form
from tinker_operator.tinker.errors import (
    BadRequest,
    CallNotPossible,
    FutureFailed,
    FuturePending,
    InvalidResponse,
    Unprocessable,
)
from tinker_operator.tinker.inventory import InventoryCalls
from tinker_operator.tinker.models import FutureSubmitted, LoraConfig, WeightsInfo, WeightsLoaded
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.training import TrainingCalls

PROBE_SECONDS: Final = 600.0
"""How long a probe's answers stand: a proxy that spoke for the service does so for a while, not for ever."""
BLANK_NUMBERS: Final = 1_000_000
"""Added to the number of a run that is made blank and loaded afterwards: whoever looks for the run of the plain
number, to see whether its load has happened, must not find a blank one."""
_FIRST_OPERATION: Final = 1


@dataclass(frozen=True, slots=True)
class Restored:
    """A run that was made from a checkpoint.

    Args:
        run_id: It.
        operations: How many of its own operations that took, which are numbers that it has used up.
    """

    run_id: str
    operations: int


class DialectCalls(TrainingCalls, InventoryCalls):
    """Calls that come to the same at services that differ."""

    _probing: asyncio.Lock | None = None
    _probed_until: float = -inf

    async def capabilities(self) -> Capabilities:
        """Say which calls the service has; asked every ten minutes at most, by calls that cannot change anything.

        A probe that met trouble (no key, no pace, a fault of the service) is made again by whoever asks next.

        Raises:
            NoAnswer: The service could not be reached; asking again asks anew.
        """
        self._probing = self._probing or asyncio.Lock()
        async with self._probing:
            now = self._transport.keeper.monotonic()
            if now >= self._probed_until and await probe(self._transport):
                self._probed_until = now + PROBE_SECONDS
        return self.known_capabilities

    @property
    def known_capabilities(self) -> Capabilities:
        """What the answers so far have proved; nothing is asked."""
        return self._transport.known.capabilities

    async def restore_run(
        self,
        *,
        session_id: str,
        model_seq_id: int,
        path: TinkerPath,
        optimizer: bool,
        user_metadata: Mapping[str, str] = NO_METADATA,
        blank_metadata: Mapping[str, str] | None = None,
        wait_seconds: float,
    ) -> str:
        """Make a run from a checkpoint and give its id; the same ids again continue, and never make a second run.

        Args:
            session_id: The session the run belongs to.
            model_seq_id: Its number in the session, below a million.
            path: A training checkpoint.
            optimizer: Whether to restore the optimizer's state as well.
            user_metadata: The new run's own; the service inherits none.
            blank_metadata: The new run's own where it exists before it is loaded; None for the same.
            wait_seconds: How long to wait for the result, in all.

        Raises:
            FuturePending: The service is at work; call again with the same ids.
            FutureFailed: The checkpoint cannot be loaded.
            BadRequest: It, or the request, is refused.
            CallNotPossible: The service has the older form only and does not say what the checkpoint was trained as.
        """
        restored = await self._restored(
            session_id=session_id,
            model_seq_id=model_seq_id,
            path=path,
            optimizer=optimizer,
            user_metadata=user_metadata,
            blank_metadata=blank_metadata,
            wait_seconds=wait_seconds,
        )
        return restored.run_id

    async def _restored(
        self,
        *,
        session_id: str,
        model_seq_id: int,
        path: TinkerPath,
        optimizer: bool,
        user_metadata: Mapping[str, str],
        blank_metadata: Mapping[str, str] | None = None,
        wait_seconds: float,
    ) -> Restored:
        """Restore as `restore_run` does, and say how; what the connection knows may have changed meanwhile."""
        deadline = self._transport.keeper.monotonic() + wait_seconds
        if self._transport.known.of("create_form_load") is not Support.MISSING:
            try:
                run_id = await self.load_weights(
                    session_id=session_id,
                    model_seq_id=model_seq_id,
                    path=path,
                    optimizer=optimizer,
                    user_metadata=user_metadata,
                    wait_seconds=wait_seconds,
                )
            except (FuturePending, FutureFailed):
                self._transport.known.learn("create_form_load", Support.SUPPORTED)
                raise
            except (BadRequest, Unprocessable) as error:
                if self._transport.known.of("create_form_load") is Support.SUPPORTED or not lacks_create_form(error):
                    raise
            else:
                self._transport.known.learn("create_form_load", Support.SUPPORTED)
                return Restored(run_id, operations=0)
        blank = user_metadata if blank_metadata is None else blank_metadata
        run_id = await self._blank_run(session_id, model_seq_id, path, blank, deadline)
        await self._load_into(run_id, path, optimizer, deadline)
        return Restored(run_id, operations=_FIRST_OPERATION)

    async def _blank_run(
        self, session_id: str, model_seq_id: int, path: TinkerPath, metadata: Mapping[str, str], deadline: float
    ) -> str:
        info = await self.weights_info(path)
        run_id = await self.create_model(
            session_id=session_id,
            model_seq_id=BLANK_NUMBERS + model_seq_id,
            base_model=info.base_model,
            lora=_trained_as(info),
            user_metadata=metadata,
            wait_seconds=self._left(deadline),
        )
        # Only a service that goes on with the older form has proved that it lacks the other.
        self._transport.known.learn("create_form_load", Support.MISSING)
        return run_id

    async def _load_into(self, run_id: str, path: TinkerPath, optimizer: bool, deadline: float) -> None:
        call = calls.load_weights_into(run_id, _FIRST_OPERATION, path, optimizer)
        submitted = await self._transport.ask(call, FutureSubmitted)
        done = await self._futures.result(submitted.request_id, max(deadline, self._transport.keeper.monotonic()))
        loaded = self._transport.read(done, WeightsLoaded)
        if loaded.model_id not in {None, run_id}:
            raise InvalidResponse("The service loaded the checkpoint into another run than the one asked for")

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._transport.keeper.monotonic())


def _trained_as(info: WeightsInfo) -> LoraConfig:
    """Give the adapter to make; a flag that the service does not tell is the official client's default."""
    if not info.is_lora or not info.lora_rank:
        raise CallNotPossible(
            "The service does not tell the LoRA rank of the checkpoint, without which no run can be made for it",
            "Restore it with the service's own means.",
        )
    flags = ("train_unembed", "train_mlp", "train_attn")
    told = {flag: getattr(info, flag) for flag in flags if getattr(info, flag) is not None}
    return LoraConfig(rank=info.lora_rank, **told)

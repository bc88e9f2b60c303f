"""Brings one file to disk, however often the way to it breaks.

A loss of the connection costs nothing but the wait: the next request asks for the rest, under the condition that the
content is still the same. The patience is that of the retry law, and it begins anew with each byte that arrives.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx

from tinker_operator.tinker.download.answers import Meaning, Offer, understood
from tinker_operator.tinker.download.digests import digest_of
from tinker_operator.tinker.download.errors import DownloadInterrupted, DownloadMismatch, DownloadRefused
from tinker_operator.tinker.download.part import Part
from tinker_operator.tinker.download.renewal import Addresses
from tinker_operator.tinker.download.signed import identity_of
from tinker_operator.tinker.download.store import Store, store_fault
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.faults import CAUGHT
from tinker_operator.tinker.retry import RetryPolicy, Timekeeper

Progress = Callable[[int, int | None, str], None]
"""Told how many bytes of a file are there, how many it has (None while unknown), and its name."""
BLOCK: Final = 1024 * 1024
"""Bytes that are collected before they are written: what a download holds in memory."""
MOST_RENEWALS: Final = 2
"""Fresh addresses in a row that open nothing: the store means it."""
MOST_RESTARTS: Final = 5
"""Beginnings of one file: content that changes that often is never whole."""


@dataclass(frozen=True, slots=True)
class Way:
    """How files are fetched.

    Args:
        store: Where they are asked for.
        retry: How long and how often to try while nothing arrives.
        keeper: Time and chance.
        now: The time of day, for the end of addresses.
        progress: Told of each block.
    """

    store: Store
    retry: RetryPolicy
    keeper: Timekeeper
    now: Callable[[], datetime]
    progress: Progress


class Fetching:
    """The fetching of one file.

    Args:
        name: Its name in the checkpoint.
        part: Where it goes.
        addresses: Where it is.
        way: How it is fetched.
    """

    def __init__(self, name: str, part: Part, addresses: Addresses, way: Way) -> None:
        self._name = name
        self._part = part
        self._addresses = addresses
        self._way = way
        self._renewals = 0
        self._restarts = 0
        self._arrived = 0

    async def run(self) -> str:
        """Fetch the file and give its SHA-256 in hexadecimal.

        Raises:
            DownloadInterrupted: Nothing arrived for as long as the retry law waits; what is there is kept.
            DownloadRefused: The store refuses.
            DownloadMismatch: What arrived twice had another digest than was promised, or another size.
            TinkerError: The service refuses to sign, the disk refuses to write, an address is unsafe.
        """
        try:
            self._part.open(identity_of(await self._addresses.address(self._name)))
            await self._fetched()
            if (digest := await self._proven()) is None:
                self._restart("has another digest than the store promised")
                await self._fetched()
                digest = await self._proven()
        finally:
            self._part.close()
        if digest is None:
            raise DownloadMismatch(f"The file {self._name} has another digest than the store promised, twice in a row")
        return digest

    async def _fetched(self) -> None:
        failures, patience = 0, self._way.keeper.monotonic() + self._way.retry.total_seconds
        while True:
            before = self._arrived
            outcome = await self._attempt()
            if outcome is None:
                return
            now = self._way.keeper.monotonic()
            if self._arrived > before:
                failures, patience, self._renewals = 0, now + self._way.retry.total_seconds, 0
            failures += 1
            wait = self._way.retry.wait_seconds(failures, outcome, self._way.keeper.uniform)
            wait = max(wait, outcome.retry_after or 0.0)
            if failures >= self._way.retry.max_attempts or now + wait >= patience:
                raise outcome
            await self._way.keeper.sleep(wait)

    async def _attempt(self) -> DownloadInterrupted | None:
        """Ask until the file is whole or the way broke; raise what waiting does not mend."""
        while True:
            outcome = await self._asked(await self._addresses.address(self._name))
            if isinstance(outcome, DownloadInterrupted):
                return outcome
            if isinstance(outcome, TinkerError):
                raise outcome
            if outcome is None:
                return None
            await self._answer(outcome)

    async def _answer(self, offer: Offer) -> None:
        """Prepare the next request after an answer that brought nothing."""
        if offer.meaning is Meaning.CHANGED and self._part.offset:
            self._restart("changes at the store while it is fetched")
        elif offer.meaning is Meaning.EXPIRED and self._renewals < MOST_RENEWALS:
            self._renewals += 1
            await self._addresses.renew()
        else:
            raise DownloadRefused(f"The store answered {offer.status} for the file {self._name}")

    async def _asked(self, address: httpx.URL) -> TinkerError | Offer | None:
        """Make one request: None when the file is whole. Errors are returned, since they must not refer to the fault.

        What has arrived is brought to the disk whatever happens.
        """
        try:
            return await self._exchange(address)
        except CAUGHT as fault:
            return store_fault(fault, address.host)
        finally:
            self._part.make_safe()

    async def _exchange(self, address: httpx.URL) -> TinkerError | Offer | None:
        part, offset = self._part, self._part.resume_from()
        condition = part.version.condition
        headers = {"Range": f"bytes={offset}-", "If-Range": condition} if offset and condition else {}
        async with self._way.store.opened(address, headers) as response:
            offer = understood(response, offset, part.version)
            if offer.meaning is Meaning.PASSING:
                said = f"The store {address.host} answered {offer.status} for the file {self._name}"
                return DownloadInterrupted(said, retry_after=offer.retry_after)
            if offer.meaning not in {Meaning.WHOLE, Meaning.REST}:
                return offer
            if offer.meaning is Meaning.REST:
                part.go_on(offset, offer.version)
            else:
                self._count_beginning()
                part.begin(offer.version)
            await self._receive(response)
        return self._judge()

    async def _receive(self, response: httpx.Response) -> None:
        """Write the body in blocks, off the event loop; what arrived before a break counts."""
        block = bytearray()
        try:
            async for piece in response.aiter_raw():
                block += piece
                if len(block) >= BLOCK:
                    full, block = block, bytearray()
                    await self._write(full)
        except CAUGHT:
            await self._write(block)
            raise
        await self._write(block)

    async def _write(self, block: bytearray) -> None:
        size = self._part.version.size
        if size is not None and self._part.offset + len(block) > size:
            raise DownloadMismatch(f"The store sends more of the file {self._name} than its {size} bytes")
        await asyncio.to_thread(self._part.append, block)
        self._arrived += len(block)
        self._way.progress(self._part.offset, size, self._name)

    def _judge(self) -> DownloadInterrupted | None:
        size = self._part.version.size
        if size is not None and self._part.offset < size:
            return DownloadInterrupted(f"The file {self._name} ended after {self._part.offset} of {size} bytes")
        return None

    async def _proven(self) -> str | None:
        """Read back what is on disk: its SHA-256, or None when it is not what was promised."""
        self._part.make_safe()
        promise = self._part.version.promise
        digest = await asyncio.to_thread(digest_of, self._part.content)
        if promise is None:
            return digest
        found = digest
        if promise.algorithm != "sha256":
            found = await asyncio.to_thread(digest_of, self._part.content, promise.algorithm)
        return digest if found == promise.digest else None

    def _count_beginning(self) -> None:
        """Bound the beginnings over what is there: a store without ranges that always breaks off has no end."""
        self._restarts += self._part.offset > 0
        if self._restarts > MOST_RESTARTS:
            raise DownloadInterrupted(
                f"The store breaks off the file {self._name} again and again, and cannot go on where it stopped",
                "Download it again over a better connection.",
            )

    def _restart(self, why: str) -> None:
        self._restarts += 1
        if self._restarts > MOST_RESTARTS:
            raise DownloadMismatch(f"The file {self._name} {why}: it was begun {self._restarts} times")
        self._part.forget()

"""The connections in use: one client and one inventory for each distinct key, polled once for all who share it.

The poller refreshes an account; the observer and the actuator ask for its client. Nothing is decided here.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from tinker_operator.controllers.accounts import Account, Credentials, Keyring, connect
from tinker_operator.controllers.known_listings import KnownListings
from tinker_operator.controllers.translate import fault_of, observed_run
from tinker_operator.core.inventory import Inventory, amended_inventory, failed_inventory, next_inventory
from tinker_operator.core.world import Fault, ObservedRun
from tinker_operator.tinker.budget import Budget, BudgetTerms, Lane, asked_in
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.exchange import CallWatch, unwatched
from tinker_operator.tinker.leaving import Leave, always
from tinker_operator.tinker.reading import PAGE_LIMIT, RunReading
from tinker_operator.tinker.retry import Timekeeper


def usual_budget() -> Budget:
    """Returns a budget with the usual terms that nobody watches."""
    return Budget(BudgetTerms(), Timekeeper())


def run_reading() -> RunReading[ObservedRun]:
    """Returns a reading of runs as observations."""
    return RunReading(observed_run, attrgetter("run_id"))


@dataclass(slots=True)
class Service:
    """One connection with what is known through it.

    Attributes:
        client: Calls to the service.
        inventory: The newest snapshot.
        polled_at: Monotonic time, in seconds, of the newest look; None before the first.
        looked_from: Monotonic time, in seconds, at which the newest look that succeeded began.
        lock: Held while looking, so that accounts with the same key share a look instead of repeating it.
        budget: What its calls are let out by.
        listings: The checkpoints that it listed for policies.
        reading: How its runs are read, with the pages of the newest look.
    """

    client: TinkerClient
    inventory: Inventory = field(default_factory=Inventory)
    polled_at: float | None = None
    looked_from: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    budget: Budget = field(default_factory=usual_budget)
    listings: KnownListings = field(default_factory=KnownListings)
    reading: RunReading[ObservedRun] = field(default_factory=run_reading)

    async def look(self, watched: Iterable[str], clock: Callable[[], datetime], began: float) -> None:
        """Replaces the snapshot by a new look at every run; trouble becomes the snapshot's fault."""
        try:
            with asked_in(Lane.LOOK):
                observed = await self.client.training_runs_as(self.reading)
        except TinkerError as error:
            self.inventory = failed_inventory(self.inventory, fault_of(error), now=clock())
            return
        self.inventory = next_inventory(self.inventory, observed, watched=watched, now=clock())
        self.looked_from = began

    async def show(self, run_ids: Iterable[str]) -> bool:
        """Adds single runs to the snapshot, if a look at all runs does not take fewer calls; returns whether it did."""
        unseen = [run_id for run_id in run_ids if not self.inventory.knows(run_id)]
        if len(unseen) * PAGE_LIMIT >= len(self.inventory.runs) and unseen:
            return False
        # Not in the lane of looks, which is narrow: a recovery waits for each, and nothing else does.
        answers = await asyncio.gather(*map(self._shown, unseen))
        self.inventory = amended_inventory(self.inventory, (run for run in answers if run is not None))
        return None not in answers

    async def _shown(self, run_id: str) -> ObservedRun | None:
        try:
            return observed_run(await self.client.get_training_run(run_id))
        except TinkerError:
            return None  # what that means, a look at all runs tells


class Services:
    """Every service in use, by credentials.

    Args:
        keyring: How an account becomes credentials.
        clock: Wall clock, timezone-aware.
        monotonic: Monotonic clock, in seconds.
        new_budget: Makes the budget of a new connection.
        leave: Asked right before anything but a read goes to a service.
        watch: Sees each request to a service and what came of it.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        new_budget: Callable[[], Budget] = usual_budget,
        leave: Leave = always,
        watch: CallWatch = unwatched,
    ) -> None:
        self._keyring, self._leave, self._watch = keyring, leave, watch
        self._new_budget = new_budget
        self._clock = clock
        self._monotonic = monotonic
        self._by_credentials: dict[Credentials, Service] = {}
        self._by_account: dict[Account, Service | Fault] = {}
        self._used_by: dict[Account, Credentials] = {}
        self._failing: dict[Account, datetime] = {}

    def of(self, account: Account) -> Service | Fault | None:
        """Returns the account's service, what is wrong with the account, or None before its first refresh."""
        return self._by_account.get(account)

    def shared_by(self, account: Account) -> Hashable:
        """Returns what is equal for accounts that share a connection; before its first refresh, the account itself."""
        return self._used_by.get(account, account)

    def inventory_of(self, account: Account) -> Inventory:
        """Returns what is known through the account; an account that is at fault knows that fault."""
        match self._by_account.get(account):
            case Service() as service:
                return service.inventory
            case Fault() as fault:
                return Inventory(fault=fault, failing_since=self._failing.get(account))
            case _:
                return Inventory()

    def held_back(self) -> int:
        """Returns how many connections hold calls back, because their service fails."""
        return sum(service.budget.breaker.is_open for service in self._by_credentials.values())

    async def refresh(self, account: Account, watched: Iterable[str], *, max_age_seconds: float) -> None:
        """Reads the account's key again and looks at its service, unless somebody else just has.

        Args:
            account: Whose key.
            watched: Ids of runs whose absence matters.
            max_age_seconds: A look that is younger is not repeated.
        """
        credentials = await self._keyring.credentials(account)
        if isinstance(credentials, Fault) and not credentials.needs_user:
            # The Secret cannot be read right now: that says nothing about the key of the last look.
            credentials = self._used_by.get(account, credentials)
        if isinstance(credentials, Fault):
            await self.fail(account, credentials)
            return
        service = self._by_credentials.get(credentials) or self._connected(account, credentials)
        if isinstance(service, Fault):
            await self.fail(account, service)
            return
        former = self._used_by.get(account)
        self._used_by[account] = credentials
        await self._look(service, watched, max_age_seconds)
        # Published after the look: with a rotated key, what the old one knew stands until the new one knows better.
        self._by_account[account] = service
        self._failing.pop(account, None)
        await self._release(former)

    async def show(self, account: Account, run_ids: Iterable[str]) -> bool:
        """Asks for single runs that were made after the newest look, where that takes fewer calls than to look again.

        Args:
            account: By whose connection.
            run_ids: Which runs.

        Returns:
            Whether all of them are known now; otherwise a look at all runs has to tell.
        """
        match self._by_account.get(account):
            case Service() as service if service.inventory.is_current:
                async with service.lock:
                    return await service.show(run_ids)
            case _:
                return False

    async def fail(self, account: Account, fault: Fault) -> None:
        """Takes the account's connection away and says why."""
        self._by_account[account] = fault
        self._failing.setdefault(account, self._clock())
        await self._release(self._used_by.pop(account, None))

    async def forget(self, account: Account) -> None:
        """Drops an account that no object uses any more, and its connection with the last of them."""
        self._by_account.pop(account, None)
        self._failing.pop(account, None)
        await self._release(self._used_by.pop(account, None))

    async def close(self) -> None:
        """Closes every connection."""
        for service in self._by_credentials.values():
            await service.client.close()

    def _connected(self, account: Account, credentials: Credentials) -> Service | Fault:
        budget = self._new_budget()
        client = connect(credentials, account, budget, self._leave, self._watch)
        if isinstance(client, Fault):
            return client
        return self._by_credentials.setdefault(credentials, Service(client, budget=budget))

    async def _look(self, service: Service, watched: Iterable[str], max_age_seconds: float) -> None:
        async with service.lock:
            age = None if service.polled_at is None else self._monotonic() - service.polled_at
            if age is None or age >= max_age_seconds:
                await service.look(watched, self._clock, self._monotonic())
                service.polled_at = self._monotonic()

    async def _release(self, credentials: Credentials | None) -> None:
        """Closes the connection of these credentials if no account uses it any more."""
        if credentials is not None and credentials not in self._used_by.values():
            service = self._by_credentials.pop(credentials, None)
            if service is not None:
                await service.client.close()

"""What a CheckpointPolicy's pass knows of checkpoints: listings of this pass, or kept ones that are as good.

The policy controller fills it, plans, and names the runs at stake; those are listed anew.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.known_listings import KnownListings
from tinker_operator.controllers.objects import account_of, key_of_run, training_runs
from tinker_operator.controllers.observer import answer
from tinker_operator.controllers.services import Service
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.listing_reuse import Signs, signs_of
from tinker_operator.core.policy import SHORTEST_INTERVAL_SECONDS
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import governs, policy_questions
from tinker_operator.core.world import Answer, CheckpointsOf, Question
from tinker_operator.engine.keys import KubeObject, ObjectKey

LISTED_AT_ONCE = 8
"""Runs of one policy that are listed side by side; what a connection bears is up to its budget."""
Place = tuple[ObjectKey, Account]
Listings = Mapping[Place, Mapping[Question, Answer]]
"""What was listed for each TrainingRun through each account: another account's answers say nothing to this one."""


@dataclass(slots=True)
class PassListings:
    """The listings that a pass goes by.

    Attributes:
        answers: They.
        reused: Those of them that were had in an earlier pass.
        anew: Ids of runs that have to be listed in this pass.
    """

    answers: dict[Place, dict[Question, Answer]] = field(default_factory=dict)
    reused: set[tuple[Place, CheckpointsOf]] = field(default_factory=set)
    anew: set[str] = field(default_factory=set)

    async def fill(self, shell: Shell, policy: CheckpointPolicy, obj: KubeObject) -> None:
        """Asks until every TrainingRun has its answers, those that came or moved on meanwhile too.

        A service whose runs could not be seen is not asked for their checkpoints: nothing can be decided on them.

        Raises:
            Exception: The first defect that one of the listings met.
        """
        while missing := self._missing(shell, policy):
            room = asyncio.Semaphore(LISTED_AT_ONCE)
            try:
                async with asyncio.TaskGroup() as group:
                    for run, question in missing:
                        if not self._reuse(shell, run, question):
                            group.create_task(self._ask(shell, run, question, obj, room))
            except ExceptionGroup as defects:
                # A log line tells of the kind and the place, and those of a group say nothing.
                raise defects.exceptions[0] from defects

    def distrust(self, run_ids: Collection[str]) -> bool:
        """Drops earlier listings of these runs, and says whether there were any."""
        self.anew.update(run_ids)
        doubted = [(place, asked) for place, asked in self.reused if asked.run_id in self.anew]
        for place, asked in doubted:
            del self.answers[place][asked]
        self.reused.difference_update(doubted)
        return bool(doubted)

    def _missing(self, shell: Shell, policy: CheckpointPolicy) -> list[tuple[TrainingRun, CheckpointsOf]]:
        governed = (run for run in training_runs(shell.store, policy.metadata.namespace) if governs(policy, run))
        seen = (run for run in governed if shell.services.inventory_of(account_of(run)).is_current)
        return [
            (run, it) for run in seen for it in policy_questions(policy, (run,), self.answers.get(place_of(run), {}))
        ]

    def _reuse(self, shell: Shell, run: TrainingRun, question: CheckpointsOf) -> bool:
        known, run_id = _known_to(shell, run), question.run_id
        if known is None or run_id in self.anew:
            return False
        signs = _signs(shell, run, run_id)
        interval = max(float(run.spec.poll_interval_seconds), SHORTEST_INTERVAL_SECONDS)
        listing = known.of(run_id, signs, interval, shell.clock())
        if listing is None:
            return False
        self.answers.setdefault(place_of(run), {})[question] = listing
        self.reused.add((place_of(run), question))
        return True

    async def _ask(
        self, shell: Shell, run: TrainingRun, question: CheckpointsOf, obj: KubeObject, room: asyncio.Semaphore
    ) -> None:
        async with room:
            # The client is taken together with what is known through it: a key may rotate while others are asked.
            known, client, run_id = _known_to(shell, run), shell.client_of(run), question.run_id
            signs = _signs(shell, run, run_id)
            ask = partial(answer, question, obj, shell.api, client)
            found = await ask() if known is None else await known.listed(run_id, signs, shell.clock(), ask)
            self.answers.setdefault(place_of(run), {})[question] = found


def place_of(run: TrainingRun) -> Place:
    """Returns the TrainingRun and the account that it is asked for through."""
    return key_of_run(run), account_of(run)


@contextmanager
def changing(shell: Shell, run: TrainingRun) -> Iterator[None]:
    """Has the runs of a TrainingRun listed anew by everybody, once something was done to them, or tried.

    Args:
        shell: What the controllers work with.
        run: Whose runs.
    """
    before = _known_to(shell, run)
    try:
        yield
    finally:
        # The key may have been rotated meanwhile: who asks with the new one is concerned as well.
        concerned = [known for known in (before, _known_to(shell, run)) if known is not None]
        for known, run_id in product(concerned, followed_runs(run)):
            known.forget(run_id)


def _signs(shell: Shell, run: TrainingRun, run_id: str) -> Signs | None:
    return signs_of(shell.services.inventory_of(account_of(run)).view(run_id))


def _known_to(shell: Shell, run: TrainingRun) -> KnownListings | None:
    service = shell.services.of(account_of(run))
    return service.listings if isinstance(service, Service) else None

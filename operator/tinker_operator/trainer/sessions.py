"""A training that outlives its runs: each session trains one run, and the next one goes on where it was restored.

The short way to write a training loop; `resume`, `wait_for_next` and `is_run_lost` are the same by hand.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self

import tinker

from tinker_operator.trainer.checkpointer import Checkpointer
from tinker_operator.trainer.errors import RunLost
from tinker_operator.trainer.lost import is_run_lost
from tinker_operator.trainer.resume import Resumed, resume, step_in_metadata, wall_clock
from tinker_operator.trainer.sources import HandOverSource, source_from
from tinker_operator.trainer.waiting import wait_for_next


@dataclass(slots=True)
class TrainingSession:
    """One run from its start to its end or its loss. Enter it around the steps: it catches the loss of the run.

    Attributes:
        run: The run, with the step it starts from.
        checkpointer: Saves the run's checkpoints.
        is_lost: Tells whether an error came from the loss of the run.
        lost: How the run was lost; None while it is well and after it ended well.
    """

    run: Resumed
    checkpointer: Checkpointer
    is_lost: Callable[[BaseException], bool]
    lost: RunLost | None = field(default=None, init=False)

    @property
    def training_client(self) -> tinker.TrainingClient:
        """The SDK's client of the run."""
        return self.run.training_client

    def steps(self, until: int) -> range:
        """The steps that are left: from the one after the restored up to and with `until`."""
        return range(self.run.start_step + 1, until + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Swallows an error only when the service confirms that the run is corrupted; every other one goes on up."""
        if not isinstance(error, Exception) or not self.is_lost(error):
            return False
        self.lost = RunLost(self.run.training_run_id, error_class=type(error).__name__)
        return True


def training_sessions(
    service_client: tinker.ServiceClient,
    *,
    base_model: str,
    lora_rank: int,
    save_every: int,
    seed: int | None = None,
    source: HandOverSource | None = None,
    user_metadata: Mapping[str, str] | None = None,
    rest_client: tinker.RestClient | None = None,
    step_of: Callable[[tinker.Checkpoint], int] = step_in_metadata,
    wait_seconds: float = 3600.0,
    poll_seconds: float = 5.0,
    clock: Callable[[], datetime] = wall_clock,
) -> Iterator[TrainingSession]:
    """Sessions until one ends without losing its run.

    ::

        for session in training_sessions(service_client, base_model=model, lora_rank=32, save_every=100):
            with session:
                for step in session.steps(until=10_000):
                    loss = train(session.training_client, step)
                    session.checkpointer.step(step, {"loss": loss})

    Args:
        service_client: Makes the runs.
        base_model: Model of the training.
        lora_rank: Rank of the adapter.
        save_every: Steps from one checkpoint to the next.
        seed: Seed of a fresh adapter.
        source: Where hand-overs come from; None means what TINKER_OPERATOR_HANDOVER names.
        user_metadata: Metadata for each run.
        rest_client: Asks for runs and checkpoints; needed only where `service_client` was not configured by the
            environment.
        step_of: Tells the step of a checkpoint that was not saved by `Checkpointer`.
        wait_seconds: How long to wait for a recovery after a loss.
        poll_seconds: Time between two looks at the hand-over.
        clock: The time of day, for the metadata of the runs.

    Raises:
        NoNextHandOver: When a lost run was not recovered in time.
        TrainerError: As `resume` and `wait_for_next` say.
        tinker.TinkerError: When the service refuses to make a run.
    """
    place = source or source_from()
    rest = rest_client or tinker.RestClient()
    start = partial(
        resume,
        service_client,
        base_model=base_model,
        lora_rank=lora_rank,
        seed=seed,
        source=place,
        user_metadata=user_metadata,
        rest_client=rest,
        step_of=step_of,
        clock=clock,
    )
    handover = None
    while True:
        run = start(handover=handover)
        is_lost = partial(is_run_lost, training_run_id=run.training_run_id, rest_client=rest)
        session = TrainingSession(run, Checkpointer(run.training_client, every_steps=save_every), is_lost)
        yield session
        if session.lost is None:
            return
        handover = wait_for_next(
            place, previous_attempt=run.attempt, timeout_seconds=wait_seconds, poll_seconds=poll_seconds
        )

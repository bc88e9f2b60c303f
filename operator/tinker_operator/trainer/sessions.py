"""A training that outlives its runs: each session trains one run, and the next one goes on where it was restored.

The short way to write a training loop; `resume`, `HandOverWatch`, `is_run_lost` and `wait_for_next` are the same by
hand.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self

import tinker

from tinker_operator.trainer.checkpointer import Checkpointer
from tinker_operator.trainer.errors import CheckpointUnfit, CheckpointUnusable, RunLost, Superseded
from tinker_operator.trainer.handover import HandOver, Mode
from tinker_operator.trainer.lost import is_run_lost
from tinker_operator.trainer.resume import Resumed, resume, step_in_metadata, wall_clock
from tinker_operator.trainer.sources import HandOverSource, NoHandOver, source_from
from tinker_operator.trainer.termination import check_terminated
from tinker_operator.trainer.waiting import attempt_from, current_hand_over, wait_for_next
from tinker_operator.trainer.watch import LOOK_SECONDS, HandOverWatch

_LOG: Final = logging.getLogger(__name__)


class Starts(Protocol):
    """`resume` with all but the hand-over settled."""

    def __call__(self, *, handover: HandOver | None) -> Resumed:
        """Make a run from the hand-over, None meaning without one."""


@dataclass(slots=True)
class TrainingSession:
    """One run from its start to its end or its loss. Enter it around the steps: it catches the loss of the run.

    Attributes:
        run: The run, with the step it starts from.
        checkpointer: Saves the run's checkpoints.
        is_lost: Tells whether an error came from the loss of the run.
        watch: Looks at the hand-over meanwhile; None for nobody.
        lost: How the run was lost; None while it is well and after it ended well.
    """

    run: Resumed
    checkpointer: Checkpointer
    is_lost: Callable[[BaseException], bool]
    watch: HandOverWatch | None = None
    lost: RunLost | None = field(default=None, init=False)

    @property
    def training_client(self) -> tinker.TrainingClient:
        """The SDK's client of the run."""
        return self.run.training_client

    @property
    def mode(self) -> Mode:
        """How a lost run comes back, by the newest hand-over that was read."""
        return self.watch.latest.mode if self.watch and self.watch.latest else self.run.mode

    def steps(self, until: int) -> range:
        """The steps that are left: from the one after the restored up to and with `until`."""
        return range(self.run.start_step + 1, until + 1)

    def check(self) -> None:
        """Pass while the loop may go on; `checkpointer.step` asks too, so only a long step needs this.

        Raises:
            Superseded: When a later attempt was seen. Let it pass: the session knows what to do.
            Terminated: When SIGTERM arrived, as `Checkpointer.check` says.
        """
        self.checkpointer.check()

    def __enter__(self) -> Self:
        if self.watch:
            self.watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Makes the save that the schedule keeps for the end, and swallows an error that ends this run alone.

        That is one by which the service confirms that the run is corrupted, and a `Superseded` whose attempt this very
        loop is to carry on. Every other error goes on up.
        """
        closing = self._closed() if error is None else None
        if self.watch:
            self.watch.stop()
        met = error or closing
        if isinstance(met, Exception) and self._is_lost_by(met):
            self.lost = RunLost(self.run.training_run_id, error_class=type(met).__name__)
            return True
        if closing is not None:
            raise closing
        return False

    def _closed(self) -> Exception | None:
        try:
            self.checkpointer.close()
        except Exception as error:  # noqa: BLE001  # the loss of a run shows in its last save as in any other
            return error
        return None

    def _is_lost_by(self, error: Exception) -> bool:
        return error.handover.open_to_this_loop if isinstance(error, Superseded) else self.is_lost(error)


def training_sessions(
    service_client: tinker.ServiceClient,
    *,
    base_model: str,
    lora_rank: int,
    save_every: int,
    seed: int | None = None,
    source: HandOverSource | None = None,
    checkpoint: str | None = None,
    user_metadata: Mapping[str, str] | None = None,
    rest_client: tinker.RestClient | None = None,
    step_of: Callable[[tinker.Checkpoint], int] = step_in_metadata,
    save_on_sigterm: bool = False,
    on_superseded: Callable[[Superseded], object] | None = None,
    wait_seconds: float = 3600.0,
    poll_seconds: float = 5.0,
    watch_seconds: float = LOOK_SECONDS,
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
        save_every: Steps from one checkpoint to the next, where no CheckpointPolicy says when to save.
        seed: Seed of a fresh adapter.
        source: Where hand-overs come from; None means what `source_from()` finds.
        checkpoint: Where to start from while no hand-over names a checkpoint; None means the base model.
        user_metadata: Metadata for each run.
        rest_client: Asks for runs and checkpoints; needed only where `service_client` was not configured by the
            environment.
        step_of: Tells the step of a checkpoint that was not saved by `Checkpointer`.
        save_on_sigterm: Whether the step that SIGTERM ends is saved, inside a `training_loop`.
        on_superseded: Called when a later attempt was seen, in the loop's thread, before it ends.
        wait_seconds: How long to wait for a recovery after a loss, or for another checkpoint than an unusable one.
        poll_seconds: Time between two looks at the hand-over while waiting for it.
        watch_seconds: Time between two looks at the hand-over while training.
        clock: The time of day, for the metadata of the runs.

    Raises:
        RunLost: In mode Relaunch, when the run is lost: the operator replaces this loop.
        Superseded: When a later attempt goes on elsewhere.
        CheckpointUnusable: In mode Relaunch or without a hand-over; in other modes another one is waited for.
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
        source=NoHandOver(),
        checkpoint=checkpoint,
        user_metadata=user_metadata,
        rest_client=rest,
        step_of=step_of,
        clock=clock,
    )
    save = partial(Checkpointer, every_steps=save_every, save_on_sigterm=save_on_sigterm)
    watch = partial(HandOverWatch, place, every_seconds=watch_seconds, on_superseded=on_superseded)
    wait = partial(_later, place, timeout_seconds=wait_seconds, poll_seconds=poll_seconds)
    handover = current_hand_over(place, attempt=attempt_from())
    while True:
        check_terminated()
        session = _session(_started(start, handover, wait), rest, save=save, watch=watch)
        yield session
        if session.lost is None:
            return
        handover = _next(session.mode, session.lost, wait, session.run.attempt)


def _next(mode: Mode, lost: RunLost, wait: Callable[..., HandOver], attempt: int) -> HandOver:
    if mode is Mode.RELAUNCH:
        raise lost
    return wait(previous_attempt=attempt)


def _session(
    run: Resumed, rest: tinker.RestClient, *, save: Callable[..., Checkpointer], watch: Callable[..., HandOverWatch]
) -> TrainingSession:
    watching = watch(training_run_id=run.training_run_id, attempt=run.attempt, schedule=run.schedule)
    is_lost = partial(is_run_lost, training_run_id=run.training_run_id, rest_client=rest)
    checkpointer = save(run.training_client, guard=watching.check, schedule=watching.schedule, history=run.saved)
    return TrainingSession(run, checkpointer, is_lost, watching)


def _later(
    place: HandOverSource,
    *,
    previous_attempt: int,
    unusable: str | None = None,
    timeout_seconds: float,
    poll_seconds: float,
) -> HandOver:
    handover = wait_for_next(
        place,
        previous_attempt=previous_attempt,
        unusable=unusable,
        timeout_seconds=timeout_seconds,
        poll_seconds=poll_seconds,
    )
    if handover.attempt > previous_attempt and not handover.open_to_this_loop:
        raise Superseded(handover)
    return handover


def _started(start: Starts, handover: HandOver | None, wait: Callable[..., HandOver]) -> Resumed:
    while True:
        try:
            return start(handover=handover)
        except CheckpointUnfit:
            raise
        except CheckpointUnusable as error:
            if handover is None or handover.checkpoint is None or handover.mode is Mode.RELAUNCH:
                raise
            _LOG.warning("Another checkpoint than that of attempt %d is waited for: %s", handover.attempt, error)
            handover = wait(previous_attempt=handover.attempt, unusable=handover.checkpoint)

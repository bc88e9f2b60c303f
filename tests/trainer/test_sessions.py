"""What becomes of a training whose run is lost or left behind: the hand-over's mode decides, and who came first."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import tinker
from tests.trainer.fakes import Script
from tinker.lib.public_interfaces.api_future import AwaitableConcurrentFuture

from tinker_operator.trainer import (
    CheckpointUnfit,
    CheckpointUnusable,
    HandOver,
    NoHandOver,
    NoNextHandOver,
    RunLost,
    Superseded,
    TrainingSession,
    training_sessions,
)

pytestmark = pytest.mark.pure

Make = Callable[..., str]
At = Callable[..., HandOver]
MODEL = "Qwen/Qwen3-8B"
GONE = "tinker://s1:train:0/weights/gone"


def answered(value: Any) -> AwaitableConcurrentFuture[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return AwaitableConcurrentFuture(future)


class World:
    """A service with one checkpoint of each run, and the runs that were made and lost."""

    def __init__(self) -> None:
        self.made: list[str | None] = []
        self.corrupted: set[str] = set()
        self.base_model = MODEL

    def create_lora_training_client(self, _base_model: str, **_options: Any) -> Any:
        return self._make(None)

    def create_training_client_from_state_with_optimizer(self, path: str, **_options: Any) -> Any:
        return self._make(path)

    def list_checkpoints(self, run: str) -> Any:
        paths = [f"tinker://{run}/weights/{name}" for name in ("step-000020", "other")]
        found = [SimpleNamespace(tinker_path=path, user_metadata={"step": "20"}) for path in paths]
        return answered(SimpleNamespace(checkpoints=found))

    def get_weights_info_by_tinker_path(self, _path: str) -> Any:
        return answered(SimpleNamespace(base_model=self.base_model, lora_rank=8))

    def get_training_run(self, run: str) -> Any:
        return answered(SimpleNamespace(corrupted=run in self.corrupted))

    def lose(self, session: TrainingSession) -> None:
        """Train a step of a run that has just been corrupted."""
        self.corrupted.add(session.run.training_run_id)
        response = httpx.Response(400, request=httpx.Request("POST", "http://service"))
        raise tinker.BadRequestError("Error code: 400", response=response, body=None)

    def _make(self, path: str | None) -> Any:
        self.made.append(path)
        return answered(SimpleNamespace(model_id=f"ours:train:{len(self.made) - 1}"))


@pytest.fixture
def at(handover_text: Make) -> At:
    """Makes a hand-over of an attempt."""

    def make(attempt: int, **fields: object) -> HandOver:
        return HandOver.parse(handover_text(attempt=attempt, **fields), place="here")

    return make


def sessions(world: World, source: Any) -> Iterator[TrainingSession]:
    return training_sessions(
        world,  # type: ignore[arg-type]  # a fake of the SDK's interface
        base_model=MODEL,
        lora_rank=8,
        save_every=10,
        source=source,
        rest_client=world,  # type: ignore[arg-type]  # same
        wait_seconds=0.0,
        poll_seconds=0.0,
        watch_seconds=3600.0,
    )


def train_and_lose(world: World, source: Any, *, look_first: bool = False) -> None:
    """Lose every run that there is, one after the other."""
    for session in sessions(world, source):
        with session:
            if look_first:
                look(session)
            world.lose(session)


def look(session: TrainingSession) -> None:
    """Have the hand-over looked at now, as the watch does every few seconds."""
    assert session.watch
    session.watch.look()


@pytest.mark.parametrize("mode", ["Recreate", "HandOver"])
def test_a_lost_run_is_carried_on_by_the_loop_itself(mode: str, at: At) -> None:
    """From the checkpoint that is handed over."""
    world = World()
    lost = "ours:train:0"
    successor: dict[str, str | None] = {
        "trainingRunId": "proof",
        "successorTrainingRunId": "proof",
        "previousTrainingRunId": lost,
    }
    if mode == "HandOver":
        successor |= {"trainingRunId": lost, "successorTrainingRunId": None}
    runs = []

    for session in sessions(world, Script([at(0, checkpoint=None), at(1, mode=mode, **successor)])):
        runs.append((session.run.training_run_id, session.run.attempt, session.run.start_step))
        with session:
            if session.run.attempt == 0:
                world.lose(session)

    assert runs == [(lost, 0, 0), ("ours:train:1", 1, 20)]


def test_a_lost_run_of_a_loop_that_is_replaced_ends_it(at: At) -> None:
    """Waiting would keep the pod, and two loops would follow the next hand-over."""
    world = World()

    with pytest.raises(RunLost) as caught:
        train_and_lose(world, Script([at(1, mode="Relaunch")]))

    assert caught.value.training_run_id == "ours:train:0"
    assert len(world.made) == 1


def test_the_mode_that_counts_is_the_newest(at: At) -> None:
    """The user may have changed it while the run was trained."""
    world = World()

    with pytest.raises(RunLost):
        train_and_lose(world, Script([at(1), at(1, mode="Relaunch")]), look_first=True)


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        pytest.param({"mode": "Relaunch"}, True, id="a loop that is replaced"),
        pytest.param({"mode": "Recreate", "trainingRunId": "another"}, True, id="another loop took it"),
        pytest.param({"mode": "HandOver", "trainingRunId": "another"}, True, id="another loop made the successor"),
        pytest.param({"mode": "Recreate"}, False, id="the operator's proof waits for a loop"),
        pytest.param(
            {"mode": "HandOver", "trainingRunId": "s1:train:0", "successorTrainingRunId": None},
            False,
            id="the hand-over waits for a loop",
        ),
    ],
)
def test_a_loop_that_is_left_behind_ends_unless_the_attempt_waits_for_it(
    fields: dict[str, object], ends: bool, at: At
) -> None:
    """Its run may answer still: it is the hand-over that says that training goes on elsewhere, or here and anew."""
    world = World()
    attempts: list[int] = []

    def train() -> None:
        for session in sessions(world, Script([at(0), at(1, **fields)])):
            attempts.append(session.run.attempt)
            with session:
                look(session)
                session.check()

    if ends:
        with pytest.raises(Superseded):
            train()
    else:
        train()

    assert attempts == ([0] if ends else [0, 1])
    assert len(world.made) == len(attempts)


def test_a_loss_whose_attempt_another_loop_took_ends_the_loop(at: At) -> None:
    """It came too late; a second run of the attempt would be trained beside the first."""
    world = World()

    with pytest.raises(Superseded):
        train_and_lose(world, Script([at(0), at(1, trainingRunId="another")]))

    assert len(world.made) == 1


def test_a_checkpoint_that_is_gone_is_waited_out(at: At, caplog: pytest.LogCaptureFixture) -> None:
    """The operator hands another one over, under a later attempt or the same; the log says what is waited for."""
    world = World()
    other = "tinker://s1:train:0/weights/other"

    for session in sessions(world, Script([at(1, checkpoint=GONE), at(1, checkpoint=other)])):
        with session, caplog.at_level(logging.WARNING):
            assert session.run.checkpoint == other

    assert world.made == [other]
    assert [GONE in record.getMessage() for record in caplog.records] == [True]


def test_a_checkpoint_that_is_gone_for_good_ends_with_the_deadline(at: At) -> None:
    """Nothing else was handed over."""
    with pytest.raises(NoNextHandOver):
        next(sessions(World(), Script([at(1, checkpoint=GONE)])))


def test_a_checkpoint_that_is_gone_ends_a_loop_that_is_replaced(at: At) -> None:
    """The operator counts it against the attempt."""
    with pytest.raises(CheckpointUnusable):
        next(sessions(World(), Script([at(1, mode="Relaunch", checkpoint=GONE)])))


@pytest.mark.parametrize("mode", ["Recreate", "HandOver", "Relaunch"])
def test_a_checkpoint_of_another_model_ends_the_loop_in_every_mode(mode: str, at: At) -> None:
    """Every checkpoint of that lineage is of that model: only a person mends it."""
    world = World()
    world.base_model = "Qwen/Qwen3-32B"

    with pytest.raises(CheckpointUnfit):
        next(sessions(world, Script([at(1, mode=mode), at(2, mode=mode)])))

    assert world.made == []


def test_a_training_that_nobody_looks_after_has_nothing_to_watch() -> None:
    """It trains as it would without this library."""
    world = World()

    for session in sessions(world, NoHandOver()):
        with session:
            session.check()

    assert world.made == [None]


def test_a_look_that_fails_is_no_end_of_a_session(at: At) -> None:
    """Trouble of the place is no news of the run."""
    for session in sessions(World(), Script([at(0), RuntimeError("odd")])):
        with session:
            look(session)
            session.check()
        assert session.lost is None

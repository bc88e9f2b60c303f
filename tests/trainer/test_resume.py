"""What a loop starts from: the hand-over's checkpoint or the base model, and never a run nobody asked for."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import tinker
from tinker.lib.public_interfaces.api_future import AwaitableConcurrentFuture

from tinker_operator.trainer import (
    RESUMED_AT,
    CheckpointUnusable,
    FileHandOver,
    HandOver,
    NoHandOver,
    Resumed,
    Superseded,
    resume,
)

pytestmark = pytest.mark.pure

Make = Callable[..., str]
PATH = "tinker://s1:train:0/weights/step-000020"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
OPERATOR = {"tinker-operator.dev/owner": "c/math/math-sft", "tinker-operator.dev/attempt": "1"}


def answered(value: Any) -> AwaitableConcurrentFuture[Any]:
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return AwaitableConcurrentFuture(future)


@dataclass
class FakeService:
    """Makes runs, and remembers what they were made of."""

    made: list[dict[str, Any]] = field(default_factory=list)

    def create_lora_training_client(self, base_model: str, **options: Any) -> Any:
        return self._make(model=base_model, **options)

    def create_training_client_from_state(self, path: str, **options: Any) -> Any:
        return self._make(path=path, optimizer=False, **options)

    def create_training_client_from_state_with_optimizer(self, path: str, **options: Any) -> Any:
        return self._make(path=path, optimizer=True, **options)

    def _make(self, **made: Any) -> Any:
        self.made.append(made)
        return answered(SimpleNamespace(model_id=f"s9:train:{len(self.made) - 1}"))


@dataclass
class FakeRest:
    """Lists the checkpoints of one run."""

    metadata: dict[str, str] | None = field(default_factory=lambda: {"step": "20", "loss": "1.5"})
    path: str = PATH
    base_model: str = "Qwen/Qwen3-8B"
    rank: int | None = 8

    def list_checkpoints(self, run: str) -> Any:
        if run not in self.path:
            return answered(_not_found())
        checkpoint = tinker.Checkpoint(
            checkpoint_id="weights/step-000020",
            checkpoint_type="training",
            time=NOW,
            tinker_path=self.path,
            user_metadata=self.metadata,
        )
        return answered(SimpleNamespace(checkpoints=[checkpoint]))

    def get_weights_info_by_tinker_path(self, _path: str) -> Any:
        return answered(SimpleNamespace(base_model=self.base_model, lora_rank=self.rank))


def _not_found() -> Exception:
    response = httpx.Response(404, request=httpx.Request("GET", "http://service"))
    return tinker.NotFoundError("Error code: 404", response=response, body=None)


def _resume(service: FakeService, rest: FakeRest | None = None, **options: Any) -> Resumed:
    settings: dict[str, Any] = {
        "base_model": "Qwen/Qwen3-8B",
        "lora_rank": 8,
        "source": NoHandOver(),
        "rest_client": rest or FakeRest(),
        "clock": lambda: NOW,
    }
    return resume(service, **(settings | options))  # type: ignore[arg-type]  # a fake of the SDK's interface


@pytest.fixture
def handover(handover_text: Make) -> Callable[..., HandOver]:
    """Makes a hand-over."""

    def make(**fields: object) -> HandOver:
        return HandOver.parse(handover_text(**fields), place="here")

    return make


def test_without_a_hand_over_a_fresh_run_is_made_and_nothing_is_added() -> None:
    """A loop without an operator makes the run it would make without this library."""
    service = FakeService()

    seen = _resume(service, seed=7, train_mlp=False, user_metadata={"experiment": "math"})

    assert (seen.fresh, seen.start_step, seen.attempt, seen.checkpoint) == (True, 0, 0, None)
    assert seen.training_run_id == "s9:train:0"
    assert service.made == [
        {
            "model": "Qwen/Qwen3-8B",
            "rank": 8,
            "seed": 7,
            "train_mlp": False,
            "train_attn": True,
            "train_unembed": True,
            "user_metadata": {"experiment": "math"},
        }
    ]


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_checkpoint_is_restored_as_the_hand_over_says(handover: Callable[..., HandOver], optimizer: bool) -> None:
    """The step comes from the checkpoint, the optimizer's state by choice, the operator's keys with the caller's."""
    service = FakeService()
    document = handover(restoreOptimizer=optimizer, attempt=3)

    seen = _resume(service, handover=document, user_metadata={"experiment": "math"})

    assert (seen.fresh, seen.start_step, seen.attempt, seen.checkpoint) == (False, 20, 3, PATH)
    metadata = {"experiment": "math", **OPERATOR, RESUMED_AT: "2026-01-02T03:04:05+00:00"}
    assert service.made == [{"path": PATH, "optimizer": optimizer, "user_metadata": metadata}]


def test_a_fresh_run_of_a_training_run_carries_its_owner(handover: Callable[..., HandOver]) -> None:
    """A loop restarted before its first checkpoint makes a run that the operator can find."""
    service = FakeService()

    seen = _resume(service, handover=handover(checkpoint=None, attempt=0))

    assert (seen.fresh, seen.attempt) == (True, 0)
    assert service.made[0]["user_metadata"] == {**OPERATOR, RESUMED_AT: "2026-01-02T03:04:05+00:00"}


def test_the_owner_is_the_operators_to_say(handover: Callable[..., HandOver]) -> None:
    """A key of the caller never hides one of the operator."""
    service = FakeService()

    _resume(service, handover=handover(), user_metadata={"tinker-operator.dev/attempt": "99"})

    assert service.made[0]["user_metadata"]["tinker-operator.dev/attempt"] == "1"


def test_a_restarted_loop_resumes_the_newest_checkpoint_of_a_run_that_is_well(
    tmp_path: Path, handover_text: Make
) -> None:
    """Attempt 0 may name a checkpoint: a pod that was restarted goes on from it."""
    (tmp_path / "handover.json").write_text(handover_text(attempt=0), encoding="utf-8")

    seen = _resume(FakeService(), source=FileHandOver(tmp_path))

    assert (seen.attempt, seen.start_step, seen.fresh) == (0, 20, False)


def test_the_environment_names_the_source(tmp_path: Path, handover_text: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's environment is all the configuration there is."""
    (tmp_path / "handover.json").write_text(handover_text(), encoding="utf-8")
    monkeypatch.setenv("TINKER_OPERATOR_HANDOVER", str(tmp_path))

    assert _resume(FakeService(), source=None).checkpoint == PATH


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(FakeRest(metadata=None), id="no metadata"),
        pytest.param(FakeRest(metadata={"loss": "1"}), id="no step"),
        pytest.param(FakeRest(metadata={"step": "1.5"}), id="half a step"),
        pytest.param(FakeRest(metadata={"step": "-1"}), id="a negative step"),
        pytest.param(FakeRest(metadata={"step": ""}), id="an empty step"),
    ],
)
def test_a_checkpoint_that_does_not_say_its_step_needs_the_callers_word(
    rest: FakeRest, handover: Callable[..., HandOver]
) -> None:
    """Guessing a step would train data twice or never; no run is made before it is known."""
    service = FakeService()
    with pytest.raises(CheckpointUnusable, match="step_of="):
        _resume(service, rest, handover=handover())
    assert service.made == []

    assert _resume(service, rest, handover=handover(), step_of=lambda found: len(found.checkpoint_id)).start_step == 19


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("tinker://s1:train:0/weights/other", id="a checkpoint that was deleted"),
        pytest.param("tinker://gone:train:0/weights/step-000020", id="a run that is gone"),
        pytest.param("weights/step-000020", id="no path of the service"),
    ],
)
def test_a_checkpoint_that_is_not_listed_makes_no_run(path: str, handover: Callable[..., HandOver]) -> None:
    """The remedy is to choose another one, not to start from nothing in silence."""
    service = FakeService()

    with pytest.raises(CheckpointUnusable, match="lists no checkpoint"):
        _resume(service, handover=handover(checkpoint=path))

    assert service.made == []


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(FakeRest(base_model="Qwen/Qwen3-32B"), id="another model"),
        pytest.param(FakeRest(rank=16), id="another rank"),
    ],
)
def test_a_checkpoint_of_another_model_makes_no_run(rest: FakeRest, handover: Callable[..., HandOver]) -> None:
    """A loop whose model was changed must not go on training the old one under the new name."""
    service = FakeService()

    with pytest.raises(CheckpointUnusable, match="the loop wants Qwen/Qwen3-8B with rank 8"):
        _resume(service, rest, handover=handover())

    assert service.made == []


def _status(code: int) -> Exception:
    response = httpx.Response(code, request=httpx.Request("POST", "http://service"))
    return tinker.APIStatusError(f"Error code: {code}", response=response, body=None)


def _failed(category: tinker.types.RequestErrorCategory) -> Exception:
    return tinker.RequestFailedError("It does not load", request_id="r", category=category)


class RefusingService(FakeService):
    """A service that makes no run."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def _make(self, **_made: Any) -> Any:
        return answered(self.error)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        pytest.param(_failed(tinker.types.RequestErrorCategory.User), CheckpointUnusable, id="it does not load"),
        pytest.param(_status(400), CheckpointUnusable, id="a bad request"),
        pytest.param(_status(422), CheckpointUnusable, id="a request that makes no sense"),
        pytest.param(_failed(tinker.types.RequestErrorCategory.Server), tinker.RequestFailedError, id="a failed load"),
        pytest.param(_status(500), tinker.APIStatusError, id="a server fault"),
        pytest.param(_status(401), tinker.APIStatusError, id="a wrong key"),
        pytest.param(_status(429), tinker.APIStatusError, id="a rate limit"),
    ],
)
def test_a_load_condemns_the_checkpoint_only_when_the_service_blames_it(
    error: Exception, verdict: type[Exception], handover: Callable[..., HandOver]
) -> None:
    """Trouble of the service says nothing about what it was asked to load."""
    with pytest.raises(verdict):
        _resume(RefusingService(error), handover=handover())


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_given_checkpoint_is_where_a_loop_without_a_hand_over_starts(optimizer: bool) -> None:
    """Outside Kubernetes a checkpoint can be resumed from too."""
    service = FakeService()

    seen = _resume(service, checkpoint=PATH, restore_optimizer=optimizer)

    assert (seen.start_step, seen.checkpoint, seen.fresh, seen.attempt) == (20, PATH, False, 0)
    assert service.made == [{"path": PATH, "optimizer": optimizer, "user_metadata": {}}]


def test_the_hand_over_knows_better_than_the_given_checkpoint(handover: Callable[..., HandOver]) -> None:
    """The given one is where the training once began; the hand-over is how far it came."""
    given = "tinker://s0:train:0/weights/step-000001"

    assert _resume(FakeService(), checkpoint=given, handover=handover()).checkpoint == PATH


def test_a_hand_over_that_names_none_leaves_the_given_checkpoint(handover: Callable[..., HandOver]) -> None:
    """And the run still carries its owner."""
    service = FakeService()

    assert _resume(service, checkpoint=PATH, handover=handover(checkpoint=None)).checkpoint == PATH
    assert service.made[0]["user_metadata"].items() > OPERATOR.items()


def test_a_pod_of_an_earlier_attempt_makes_no_run(
    tmp_path: Path, handover_text: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replacement is there already."""
    (tmp_path / "handover.json").write_text(handover_text(attempt=2, mode="Relaunch"), encoding="utf-8")
    monkeypatch.setenv("TINKER_OPERATOR_ATTEMPT", "1")
    service = FakeService()

    with pytest.raises(Superseded) as caught:
        _resume(service, source=FileHandOver(tmp_path))

    assert (caught.value.attempt, service.made) == (2, [])


def test_a_service_that_does_not_tell_the_rank_is_believed(handover: Callable[..., HandOver]) -> None:
    """Only what is said can contradict."""
    assert _resume(FakeService(), FakeRest(rank=None), handover=handover()).start_step == 20

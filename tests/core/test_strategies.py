"""Which checkpoint is restored, and how it is proven first."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import FIRST, MODEL, START, FakeService, Playing, checkpoint, path_of, training_run

from tinker_operator.api.meta import VALIDATES_KEY
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_spec import Metric, MetricMode
from tinker_operator.api.recovery_status import RecoveryResult, Verdict
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.metrics import metric_value
from tinker_operator.core.world import ObservedCheckpoint

pytestmark = pytest.mark.pure
BEST = {"checkpointStrategy": "Best", "metric": {"name": "loss", "mode": "Min"}}


def game_of(losses: dict[int, str | None], **recovery: Any) -> Playing:
    """A run with a checkpoint at each step, with this loss beside it, at rest."""
    service = FakeService()
    service.add_run(FIRST, *losses)
    service.checkpoints[FIRST] = tuple(
        checkpoint(step, metadata={} if loss is None else {"loss": loss}) for step, loss in losses.items()
    )
    game = Playing(training_run(recovery={"jitter": "None", **recovery}), service)
    game.settle()
    return game


def restored(game: Playing) -> str | None:
    """Corrupts the run, lets it be recovered, and tells what it was restored from."""
    game.service.corrupt()
    return game.settle().recovery.restored_from


@pytest.mark.parametrize(
    ("losses", "mode", "step"),
    [
        pytest.param({10: "1.5", 20: "1.2", 30: "1.4"}, "Min", 20, id="the lowest is best when less is better"),
        pytest.param({10: "1.5", 20: "1.2", 30: "1.4"}, "Max", 10, id="the highest is best when more is better"),
        pytest.param({10: "1.2", 20: "1.2", 30: "1.4"}, "Min", 20, id="of equal ones the newer is taken"),
        pytest.param({10: "1.2", 20: "nan", 30: "1.4"}, "Min", 10, id="NaN is never best when less is better"),
        pytest.param({10: "1.2", 20: "NaN", 30: "1.4"}, "Max", 30, id="NaN is never best when more is better"),
        pytest.param({10: "1.2", 20: "-inf", 30: "1.4"}, "Min", 10, id="an infinite loss is never best"),
        pytest.param({10: "1.2", 20: None, 30: "1.4"}, "Min", 10, id="one without the metric is not best"),
        pytest.param({10: "1.2", 20: "low", 30: "1.4"}, "Min", 10, id="a value that is no number counts as none"),
        pytest.param({10: None, 20: None, 30: None}, "Min", 30, id="without any metric the latest is taken"),
        pytest.param({10: "2e-1", 20: "0.3", 30: "+0.4"}, "Min", 10, id="numbers are read in every usual form"),
    ],
)
def test_best(losses: dict[int, str | None], mode: str, step: int) -> None:
    """The best by the metric is restored."""
    assert restored(game_of(losses, **{**BEST, "metric": {"name": "loss", "mode": mode}})) == path_of(step)


def test_a_fall_back_to_the_latest_is_told() -> None:
    """Who asked for the best and gets the latest learns why."""
    game = game_of({10: None, 20: "nan"}, **BEST)
    restored(game)

    assert "so the latest is taken" in game.run.status.recovery.history[-1].note


def test_the_walk_goes_down_from_the_best() -> None:
    """The best does not load, so the second best is taken, not the newest."""
    game = game_of({10: "1.5", 20: "1.1", 30: "1.9"}, **BEST)
    game.service.unloadable.add(path_of(20))

    assert restored(game) == path_of(10)


def test_what_has_no_metric_is_told_and_passed_over() -> None:
    """With a better one at hand it is no candidate, and its verdict says so."""
    game = game_of({10: "1.5", 20: None}, **BEST)
    restored(game)
    verdicts = {one.checkpoint: one.verdict for one in game.run.status.recovery.history[-1].candidates}

    assert verdicts == {path_of(10): Verdict.GOOD, path_of(20): Verdict.NO_METRIC}


def test_the_best_of_the_whole_lineage_is_taken() -> None:
    """A run that was restored and got worse goes back to the best that it came from."""
    game = game_of({10: "1.0", 20: "1.5"}, **BEST)
    restored(game)
    second = game.run.status.training_run_id or ""
    game.service.checkpoints[second] = (checkpoint(50, second, metadata={"loss": "3.0"}),)
    game.service.corrupt(second)

    assert game.settle().recovery.restored_from == path_of(10)


NAMES = [
    ("step-{step}-loss-{loss}", "step-12-loss-0.75", 0.75),
    ("step-{step}-loss-{loss}", "step-12-loss--1e-3", -0.001),
    ("*loss_{loss}", "math.v2_loss_2", 2.0),
    ("{loss}", "7", 7.0),
    ("step-{step}-loss-{loss}", "step-12", None),
    ("step-{step}-loss-{loss}", "step-12-loss-nan", None),
    ("step-{step}-loss-{loss}", "step-x-loss-1", None),
    ("a.b-{loss}", "axb-1", None),
    ("*{step}*{step}*{step}*-{loss}", "1" * 60, None),
]


@pytest.mark.parametrize(
    ("pattern", "name", "value"), NAMES, ids=[f"{pattern} of {name}" for pattern, name, _ in NAMES]
)
def test_a_name_tells_the_metric(pattern: str, name: str, value: float | None) -> None:
    """Where nothing stands beside the checkpoint, its name is read."""
    metric = Metric(name="loss", mode=MetricMode.MIN, name_pattern=pattern)

    assert metric_value(ObservedCheckpoint(f"tinker://r/weights/{name}", "r"), metric) == value


@given(st.text(alphabet="a1.{}*-_loss", max_size=40), st.text(max_size=60))
def test_no_pattern_and_no_name_raises(pattern: str, name: str) -> None:
    """Whatever a user writes, the answer is a finite number or nothing."""
    metric = Metric.model_construct(name="loss", mode=MetricMode.MIN, name_pattern=pattern)
    value = metric_value(ObservedCheckpoint(f"tinker://r/weights/{name}", "r"), metric)

    assert value is None or value == value  # noqa: PLR0124 - NaN is the only value that is not itself


def test_what_stands_beside_wins_over_the_name() -> None:
    """A loop that wrote NaN beside it meant it."""
    metric = Metric(name="loss", mode=MetricMode.MIN, name_pattern="loss-{loss}")
    one = ObservedCheckpoint("tinker://r/weights/loss-1", "r", metadata={"loss": "nan"})

    assert metric_value(one, metric) is None


def test_a_verdict_that_cost_a_load_is_remembered_by_the_next_attempt() -> None:
    """The checkpoint is not loaded in vain twice while the attempts count together."""
    game = game_of({10: None, 20: None})
    game.service.unloadable.add(path_of(20))
    game.service.backend_failures = 0
    game.service.corrupt()
    game.service.unloadable.add(path_of(10))
    game.settle()
    loads = len(game.service.outcomes)
    game.settle(seconds=60)

    assert loads == 2
    assert len(game.service.outcomes) == loads
    assert len(game.run.status.recovery.history) > 1


def test_a_checkpoint_saved_anew_under_the_name_is_tried_again() -> None:
    """Another time means another content."""
    game = game_of({10: None})
    game.service.unloadable.add(path_of(10))
    game.service.corrupt()
    game.settle()
    game.service.unloadable.clear()
    anew = replace(checkpoint(10), time=START + timedelta(hours=1))
    game.service.checkpoints[FIRST] = (anew,)

    assert game.settle(seconds=60).recovery.restored_from == path_of(10)


def test_listed_asks_for_nothing_but_the_listing() -> None:
    """A service that cannot tell what weights are is good enough for it."""
    game = game_of({10: None}, validation="Listed")
    game.service.weights[path_of(10)] = replace(
        game.service.weights.get(path_of(10)) or type_of_weights(), base_model="another"
    )

    assert restored(game) == path_of(10)


def type_of_weights() -> Any:
    """What the service says of weights by default."""
    from tinker_operator.core.world import WeightsSeen  # noqa: PLC0415 - used by one test only

    return WeightsSeen(MODEL, is_lora=True, lora_rank=8)


def test_recreate_needs_no_load_apart() -> None:
    """Its own load is the proof: one run is made, in one session."""
    game = game_of({10: None}, validation="Load")
    restored(game)

    assert len(game.service.sessions) == 1


@pytest.mark.parametrize("mode", ["HandOver", "Recreate"])
def test_an_archive_is_proven_apart_and_its_session_ends(mode: str) -> None:
    """The newest holds NaN, so the one before is restored; what was loaded for the proof is over."""
    game = game_of({10: None, 20: None}, validation="Archive", mode=mode)
    game.service.unsound.add(path_of(20))
    game.service.corrupt()
    game.settle()
    if mode == "HandOver":
        game.service.loop_resumes()
        game.settle()
    status = game.run.status

    assert status.recovery.restored_from == path_of(10)
    assert status.recovery.history[-1].candidates[0].verdict is Verdict.UNSOUND
    proofs = [run_id for run_id, run in game.service.runs.items() if VALIDATES_KEY in run.metadata]
    assert len(proofs) == 2
    assert {run_id.partition(":")[0] for run_id in proofs} <= game.service.finished


def test_a_load_apart_proves_a_checkpoint_before_it_is_handed_over() -> None:
    """The newest does not load: the loop never hears of it."""
    game = game_of({10: None, 20: None}, validation="Load", mode="HandOver")
    game.service.unloadable.add(path_of(20))
    game.service.corrupt()
    status = game.settle()

    assert status.hand_over is not None
    assert status.hand_over.checkpoint == path_of(10)
    assert game.service.finished == set(game.service.sessions.values())


def test_a_service_that_fails_at_the_proof_blames_no_checkpoint() -> None:
    """The attempt fails, its session ends, the next one tries the same checkpoint."""
    game = game_of({10: None}, validation="Load", mode="HandOver")
    game.service.backend_failures = 1
    game.service.corrupt()
    game.settle()
    assert game.run.status.recovery.history[-1].result is RecoveryResult.BACKEND_FAILED
    status = game.settle(seconds=60)

    assert status.hand_over is not None
    assert status.hand_over.checkpoint == path_of(10)
    assert game.service.finished == set(game.service.sessions.values())


@pytest.mark.parametrize(
    ("retried", "reasons"),
    [
        pytest.param(["BackendUnavailable"], Reason.RECOVERY_EXHAUSTED, id="what is not named gives up at once"),
        pytest.param(["CheckpointInvalid"], Reason.RECOVERY_BACKOFF, id="what is named is tried again"),
    ],
)
def test_retry_on(retried: list[str], reasons: Reason) -> None:
    """The user says which failures are worth another attempt."""
    game = game_of({10: None}, retryOn=retried)
    game.service.unloadable.add(path_of(10))
    game.service.corrupt()
    ready = find_condition(game.settle().conditions, ConditionType.READY)

    assert ready is not None
    assert ready.reason == reasons
    assert len(game.run.status.recovery.history) == 1


def test_jitter_spreads_the_waits_and_stays_below_them() -> None:
    """Anything up to the whole wait, the same whenever it is computed, different from object to object."""
    waits = set()
    for number in range(20):
        game = game_of({10: None}, backoffSeconds=60)
        run = training_run(recovery={"backoffSeconds": 60}, status=game.run.status)
        metadata = run.metadata.model_copy(update={"uid": f"uid-{number}"})
        game.run = run.model_copy(update={"metadata": metadata})
        game.service.unloadable.add(path_of(10))
        game.service.corrupt()
        wait = game.settle().recovery.next_attempt_time
        assert wait is not None
        waits.add((wait - game.now).total_seconds())

    assert all(0 <= one <= 60 for one in waits)
    assert len(waits) > 10

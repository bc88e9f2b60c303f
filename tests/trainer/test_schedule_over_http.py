"""What the service lists after a loop kept a schedule: the unmodified SDK against the simulator, over real HTTP."""

import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.trainer.fakes import poll_until

pytestmark = pytest.mark.http

Word = dict[str, Any]
HandOver = Callable[..., None]
StartLoop = Callable[..., Any]
FIRST = {"attempt": 0, "trainingRunId": None, "previousTrainingRunId": None, "successorTrainingRunId": None}
FIRST |= {"checkpoint": None}


def listed(simulator: Any, run: str, kind: str = "training") -> list[dict[str, Any]]:
    """The checkpoints of one type as the service lists them, oldest first."""
    found = simulator.get(f"training_runs/{run}/checkpoints")["checkpoints"]
    return sorted((one for one in found if one["checkpoint_type"] == kind), key=lambda one: one["tinker_path"])


def steps_of(checkpoints: Sequence[Mapping[str, Any]]) -> list[int]:
    """The steps that they say they are of."""
    return [int(one["user_metadata"]["step"]) for one in checkpoints]


SAVED: Mapping[str, tuple[Word, list[int]]] = {
    "Steps": ({"strategy": "Steps", "saveEvery": 4}, [4, 8, 10]),
    "Epoch": ({"strategy": "Epoch", "saveEvery": 2}, [6, 10]),
    "All": ({"strategy": "All"}, list(range(1, 11))),
    "Last": ({"strategy": "Last"}, [10]),
    "none": ({}, [7, 10]),
}


@pytest.mark.parametrize("name", SAVED)
def test_the_service_lists_what_the_schedule_asks_for_and_the_end(
    name: str, simulator: Any, start_loop: StartLoop, hand_over: HandOver
) -> None:
    """Ten steps in epochs of three; each checkpoint says its step and its loss."""
    word, expected = SAVED[name]
    hand_over(**FIRST, schedule=word)
    loop = start_loop("--steps", "10", "--save-every", "7", "--epoch-steps", "3")
    assert (loop.ended(), loop.stderr) == (0, "")

    found = listed(simulator, loop.wait_for("started")["run"])
    assert steps_of(found) == expected
    told = [{"step": str(step), "loss": repr(loop.losses()[step])} for step in expected]
    assert [one["user_metadata"] for one in found] == told
    assert {one["expires_at"] for one in found} == {None}


def test_the_best_are_saved_and_a_resume_knows_what_was_best(
    simulator: Any, start_loop: StartLoop, hand_over: HandOver
) -> None:
    """The loss falls, so that its highest is at the start: nothing after the resume beats what was saved before it."""
    word = {"strategy": "Steps", "saveEvery": 8, "saveBest": True, "metric": {"name": "loss", "mode": "Max"}}
    hand_over(**FIRST, schedule=word)
    loop = start_loop("--steps", "40", "--save-every", "100", "--step-seconds", "0.05")
    run = loop.wait_for("started")["run"]
    path = loop.wait_for("saved", step=8)["path"]
    before = {seen["step"]: seen["loss"] for seen in loop.all("saved") if seen["step"] <= 8}
    simulator.corrupt(run)
    loop.wait_for("lost", run=run)
    hand_over(**(FIRST | {"attempt": 1, "checkpoint": path}), schedule=word)
    resumed = loop.wait_for("resumed")
    assert loop.ended() == 0

    after = [seen for seen in loop.all("saved") if seen["path"].startswith(f"tinker://{resumed['run']}/")]
    assert max(before.values()) > max(seen["loss"] for seen in after)
    assert [seen["step"] for seen in after] == [16, 24, 32, 40]


def test_weights_for_sampling_lie_beside_the_state_and_expire_with_it(
    simulator: Any, start_loop: StartLoop, hand_over: HandOver
) -> None:
    """The same names, the same time to live."""
    hand_over(**FIRST, schedule={"strategy": "Steps", "saveEvery": 2, "ttlSeconds": 7200, "saveSampler": True})
    loop = start_loop("--steps", "4", "--save-every", "100")
    assert (loop.ended(), loop.stderr) == (0, "")
    run = loop.wait_for("started")["run"]
    states, samplers = listed(simulator, run), listed(simulator, run, "sampler")

    assert steps_of(states) == steps_of(samplers) == [2, 4]
    names = [[one["tinker_path"].rpartition("/")[2] for one in each] for each in (states, samplers)]
    assert names[0] == names[1]
    for one in (*states, *samplers):
        lives = datetime.fromisoformat(one["expires_at"]) - datetime.fromisoformat(one["time"])
        assert abs(lives - timedelta(seconds=7200)) < timedelta(seconds=60)


def test_saves_keep_the_shortest_interval(simulator: Any, start_loop: StartLoop, hand_over: HandOver) -> None:
    """All steps are due, and there is a second between two saves; the end is saved all the same."""
    hand_over(**FIRST, schedule={"strategy": "All", "minIntervalSeconds": 1})
    loop = start_loop("--steps", "40", "--save-every", "100", "--step-seconds", "0.1")
    assert (loop.ended(), loop.stderr) == (0, "")
    found = listed(simulator, loop.wait_for("started")["run"])
    times = sorted(datetime.fromisoformat(one["time"]) for one in found)

    assert 3 <= len(found) <= 8
    assert all((later - earlier).total_seconds() > 0.9 for earlier, later in pairwise(times[:-1]))
    assert steps_of(found)[-1] == 40


def test_a_running_loop_follows_the_policy(start_loop: StartLoop, hand_over: HandOver) -> None:
    """From one schedule to another, past one that it does not understand, to its own."""
    hand_over(**FIRST, schedule={"strategy": "Last"})
    loop = start_loop("--steps", "100000", "--save-every", "7", "--step-seconds", "0.02", "--watch-seconds", "0.1")

    def saved_since(step: int) -> list[int]:
        return [seen["step"] for seen in loop.all("saved") if seen["step"] > step]

    def followed(word: object, every: int) -> int:
        """Hands a schedule over, and returns the step by which three saves in a row kept it."""
        begin = loop.all("step")[-1]["step"]
        hand_over(**FIRST, schedule=word)

        def look() -> list[int]:
            newest = saved_since(begin)[-3:]
            return newest if [later - earlier for earlier, later in pairwise(newest)] == [every, every] else []

        found: list[int] = poll_until(look, f"three saves by {word}")
        assert found[0] % every == 0
        return found[-1]

    loop.wait_for("step", step=20)
    assert loop.all("saved") == []
    followed({"strategy": "Steps", "saveEvery": 3}, 3)
    followed({"strategy": "All"}, 1)
    followed({"strategy": "Tides"}, 1)
    followed({}, 7)
    assert loop.stderr.count("not understood") == 1


def test_a_termination_saves_the_last(simulator: Any, start_loop: StartLoop, hand_over: HandOver) -> None:
    """A drained pod loses nothing that strategy Last promises."""
    hand_over(**FIRST, schedule={"strategy": "Last"})
    loop = start_loop("--steps", "1000", "--save-every", "1", "--step-seconds", "0.05")
    run = loop.wait_for("started")["run"]
    loop.wait_for("step", step=3)
    loop.process.send_signal(signal.SIGTERM)
    assert (loop.ended(), loop.stderr) == (143, "")

    assert steps_of(listed(simulator, run)) == [loop.all("step")[-1]["step"]]

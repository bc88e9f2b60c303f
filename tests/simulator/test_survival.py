"""What a restart keeps: everything that was answered, whatever the end was like."""

import signal
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from tests.simulator.bare import KEYS, Served, Wire

pytestmark = pytest.mark.http


def test_a_kill_loses_nothing_that_was_answered(own: Served, connect: Callable[..., Wire]) -> None:
    """Runs, checkpoints, flags and results are there again, and training goes on where it was."""
    api = connect(own, KEYS[0])
    run, twin = api.run(user_metadata={"a": "b"}), api.run()
    api.train(run, steps=4)
    api.train(twin, steps=4)
    path = api.saved(run, "step-4")
    result = api.ended(api.gradient(run))
    api.ended(api.gradient(twin))
    lost = api.run()
    api.order("corrupt", {"run": lost})
    before = [api.get(f"training_runs/{found}").json() for found in (run, twin, lost)]
    own.end(signal.SIGKILL)
    own.start()

    assert [api.get(f"training_runs/{found}").json() for found in (run, twin, lost)] == before
    again = api.post("retrieve_future", {"request_id": f"{run}:{api.seq[run]}"})
    assert again.content == result.content
    assert api.train(run, steps=3) == api.train(twin, steps=3)
    assert "error" not in api.ended(api.load(path)).json()


def test_what_was_submitted_is_done_after_a_kill(own: Served, connect: Callable[..., Wire]) -> None:
    """An accepted operation ends once, though the process died before, during or after it."""
    api = connect(own, KEYS[0])
    run, twin = api.run(), api.run()
    submitted = [api.gradient(run) if number % 2 == 0 else api.optimize(run) for number in range(40)]
    own.end(signal.SIGKILL)
    own.start()

    assert all("error" not in api.ended(answer).text for answer in submitted)
    api.train(twin, steps=20)
    assert api.train(run, steps=2) == api.train(twin, steps=2)


@pytest.mark.parametrize("moment", range(3))
def test_a_kill_amid_many_saves_leaves_whole_checkpoints_only(
    own: Served, connect: Callable[..., Wire], moment: int
) -> None:
    """Whatever is listed after the kill loads."""
    api = connect(own, KEYS[0])
    run = api.run()
    answered: list[str] = []

    def save_on() -> None:
        for number in range(10_000):
            try:
                path = api.saved(run, f"n{number}" if number % 2 else "same", overwrite=True)
            except httpx.TransportError:
                return
            answered.append(path)

    saving = threading.Thread(target=save_on)
    saving.start()
    deadline = time.monotonic() + 30
    while len(answered) < 5 + 7 * moment:
        assert time.monotonic() < deadline
    own.end(signal.SIGKILL)
    saving.join(timeout=30)
    own.start()

    listed = [found["tinker_path"] for found in api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]]
    assert set(answered) <= set(listed)
    for path in listed[:12]:
        assert "error" not in api.ended(api.load(path)).json()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_seconds_though_polls_are_held(
    own: Served, connect: Callable[..., Wire], number: signal.Signals
) -> None:
    """The held poll is answered "ask again", the process ends with 0 and without a word."""
    api = connect(own, KEYS[0])
    run = api.run()
    # Each waits a moment for the numbers that are missing before it: the last is far from its turn.
    submitted = [api.gradient(run, seq) for seq in range(10, 400, 10)]
    request_id = submitted[-1].json()["request_id"]
    polled: list[httpx.Response] = []
    poll = threading.Thread(target=lambda: polled.append(api.post("retrieve_future", {"request_id": request_id})))
    asked = polls(api)
    poll.start()
    deadline = time.monotonic() + 30
    while polls(api) == asked:
        assert time.monotonic() < deadline
    began = time.monotonic()

    assert own.end(number) == 0
    assert time.monotonic() - began < 10
    assert own.errors == ""
    poll.join(timeout=10)
    assert [answer.status_code for answer in polled] == [408]


def polls(api: Wire) -> int:
    """How often results were asked for."""
    return int(api.calls()["counts"]["POST /api/v1/retrieve_future"])


def test_a_moved_clock_stays_moved(own: Served, connect: Callable[..., Wire]) -> None:
    """Or what had expired would come back to life."""
    api = connect(own, KEYS[0])
    run = api.run()
    api.saved(run, "a", ttl_seconds=3600)
    api.order("clock", {"advance_seconds": 3601})
    assert api.get(f"training_runs/{run}").json()["last_checkpoint"] is None
    own.end(signal.SIGKILL)
    own.start()

    assert api.get(f"training_runs/{run}").json()["last_checkpoint"] is None
    assert not list((own.state_dir / "checkpoints").rglob("*.npz"))

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


def told(api: Wire, *runs: str) -> list[object]:
    """Everything that REST clients are told of these runs, their checkpoints and the sessions."""
    found: list[object] = [api.get(f"training_runs/{run}").json() for run in runs]
    found += [api.get(f"training_runs/{run}/checkpoints").json() for run in runs]
    found += [api.get("training_runs", project_id="there").json(), api.get("checkpoints").json()]
    return [*found, api.post("sessions/search", {}).json()]


def test_a_kill_loses_no_change_that_was_answered(own: Served, connect: Callable[..., Wire]) -> None:
    """Published, given a lifetime, deleted, copied, moved, finished, cancelled: each is so after the kill."""
    api = connect(own, KEYS[0])
    run, other = api.run(), api.run()
    paths = [api.saved(run, name) for name in ("a", "b", "c", "d")]
    route = f"training_runs/{run}/checkpoints/weights"
    changes = [
        api.post(f"{route}/a/publish"),
        api.put(f"{route}/b/ttl", {"ttl_seconds": 3600}),
        api.delete(f"{route}/c"),
        api.post("copy_weights", {"source_path": paths[3], "destination_project_id": "there"}),
        api.put(f"sessions/{run.split(':')[0]}/project", {"project_id": "there"}),
        api.post(f"sessions/{run.split(':')[0]}/finish", {"reason": {"type": "errored"}, "detail": "why"}),
    ]
    api.order("cancel-session", {"session": other.split(":")[0]})
    assert [answer.status_code for answer in changes] == [204, 204, 204, 200, 204, 200]
    before = told(api, run, other)
    own.end(signal.SIGKILL)
    own.start()

    assert told(api, run, other) == before
    for path in (paths[0], changes[3].json()["tinker_path"]):
        assert "error" not in api.ended(api.load(path)).json()


@pytest.mark.parametrize("moment", range(3))
def test_a_kill_amid_deletes_and_copies_leaves_no_half_of_either(
    own: Served, connect: Callable[..., Wire], moment: int
) -> None:
    """What is listed loads, what was answered as deleted is gone, and no file is left that nothing names."""
    api = connect(own, KEYS[0])
    run = api.run()
    paths = [api.saved(run, f"n{number}") for number in range(40)]
    deleted: list[str] = []

    def change_on() -> None:
        for number, path in enumerate(paths):
            body = {"source_path": path, "destination_project_id": "there"}
            try:
                if number % 2:
                    assert api.post("copy_weights", body).status_code == 200
                assert api.delete(f"training_runs/{run}/checkpoints/weights/n{number}").status_code == 204
            except httpx.TransportError:
                return
            deleted.append(path)

    changing = threading.Thread(target=change_on)
    changing.start()
    deadline = time.monotonic() + 30
    while len(deleted) < 3 + 5 * moment:
        assert time.monotonic() < deadline
    own.end(signal.SIGKILL)
    changing.join(timeout=30)
    own.start()

    listed = [found["tinker_path"] for found in api.get("checkpoints", limit=100).json()["checkpoints"]]
    assert set(listed).isdisjoint(deleted)
    runs = {found["training_run_id"] for found in api.get("training_runs", limit=100).json()["training_runs"]}
    assert {path.split("/")[2] for path in listed} | {run} == runs
    for path in listed[:: max(1, len(listed) // 6)]:
        assert "error" not in api.ended(api.load(path)).json()
    stored = {path.name.split("@")[0] for path in (own.state_dir / "checkpoints").rglob("*.npz")}
    assert stored == {path.rsplit("/", 1)[1] for path in listed}


def test_a_kill_amid_seeding_leaves_whole_runs(own: Served, connect: Callable[..., Wire]) -> None:
    """Every run that is there has all of its checkpoints, and they load; other requests are answered meanwhile."""
    api = connect(own, KEYS[0])
    patient = connect(own, KEYS[0])
    order = {"runs": 20_000, "checkpoints": 10, "owner": f"{KEYS[0]}-owner"}

    def seed() -> None:
        try:
            patient.order("seed", order)
        except httpx.TransportError:
            return

    seeding = threading.Thread(target=seed)
    seeding.start()
    deadline = time.monotonic() + 60
    while (counted := api.get("training_runs", limit=1).json()["cursor"]["total_count"]) < 400:
        assert time.monotonic() < deadline
    own.end(signal.SIGKILL)
    seeding.join(timeout=30)
    own.start()

    runs = api.get("training_runs", limit=1).json()["cursor"]["total_count"]
    assert counted <= runs < 20_000
    listed = api.get("checkpoints", limit=1).json()
    assert listed["cursor"]["total_count"] == 10 * runs
    assert "error" not in api.ended(api.load(listed["checkpoints"][0]["tinker_path"])).json()


def test_what_a_kill_left_half_written_is_gone_after_the_next_start(own: Served, connect: Callable[..., Wire]) -> None:
    """Parts of files, files that no record names; the rest stays, exports and sampling sessions included."""
    api = connect(own, KEYS[0])
    run = api.run()
    api.saved(run, "a.b")
    export = {"model_id": run, "seq_id": api.next_seq(run), "path": "out"}
    api.ended(api.post("save_weights_external", export))
    snapshot = {"model_id": run, "seq_id": api.next_seq(run), "sampling_session_seq_id": 0}
    api.ended(api.post("save_weights_for_sampler", snapshot))
    own.end(signal.SIGKILL)
    folder = own.state_dir / "checkpoints" / run.replace(":", "_")
    whole = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    for name in ("weights/.x@9.npz.part", "weights/x@9.npz", "weights/x@9.tar", "weights/y@8.json"):
        (folder / name).write_bytes(b"half")
    for name in ("external_weights/.out@9.part", "external_weights/out@9"):
        (folder / name).mkdir()
        (folder / name / "adapter_config.json").write_bytes(b"half")
    own.start()

    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == whole

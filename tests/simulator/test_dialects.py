"""Each dialect deviates from the official wire as it says, and in nothing else."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from tests.simulator.babel import MIXED, SPOKEN, Babel, babel
from tests.simulator.bare import Wire

from tinker_simulator.app import make_app
from tinker_simulator.dialects import DIALECTS
from tinker_simulator.settings import SettingError

pytestmark = pytest.mark.http
BARE = {"detail": "Not Found"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Babel]:
    """One simulator for the module."""
    with babel(tmp_path_factory.mktemp("babel")) as running:
        yield running


@dataclass
class Talk:
    """A run with three checkpoints, one of them for sampling, seen in a dialect and as it is."""

    wire: Wire
    plain: Wire
    run: str
    paths: list[str]

    def listed(self) -> dict[str, Any]:
        """The run as the dialect lists it, whatever it is called there."""
        runs: list[dict[str, Any]] = self.wire.get("training_runs", limit=100).json()["training_runs"]
        return runs[0]

    def checkpoints(self) -> list[dict[str, Any]]:
        """The run's checkpoints as the dialect lists them."""
        answer = self.wire.get(f"training_runs/{self.listed()['training_run_id']}/checkpoints")
        rows: list[dict[str, Any]] = answer.json()["checkpoints"]
        return rows

    def failed(self) -> httpx.Response:
        """How a load fails on a checkpoint whose content is broken."""
        self.plain.order("break-checkpoint", {"path": self.paths[0], "how": "truncate"})
        submitted = self.wire.load(self.paths[0])
        answer = self.wire.post("retrieve_future", {"request_id": submitted.json()["request_id"]})
        while answer.status_code == 408:
            answer = self.wire.post("retrieve_future", {"request_id": submitted.json()["request_id"]})
        return answer

    def deleted(self) -> str:
        """A checkpoint that was deleted."""
        assert self.plain.delete(f"training_runs/{self.run}/checkpoints/weights/one").is_success
        return self.paths[0]


def bare(route: str, method: str = "GET", body: Any = None) -> Callable[[Talk], None]:
    """The route is not there for the dialect, and there for the twin."""

    def check(talk: Talk) -> None:
        path = f"/api/v1/{route}".replace("RUN", talk.run)
        answer = talk.wire.http.request(method, path, json=body)
        assert (answer.status_code, answer.json()) == (404, BARE)
        assert talk.wire.http.request("OPTIONS", path).status_code == 404
        assert talk.plain.http.request("OPTIONS", path).status_code == 405
        assert talk.plain.http.request(method, path, json=body).is_success

    return check


def no_create_form(status: int) -> Callable[[Talk], None]:
    """The create form is refused, the other one is taken."""

    def check(talk: Talk) -> None:
        refused = talk.wire.load(talk.paths[0])
        assert refused.status_code == status
        assert "model_id" in refused.text
        target = talk.wire.run()
        body = {"model_id": target, "seq_id": 1, "path": talk.paths[0], "optimizer": True}
        assert "error" not in talk.wire.ended(talk.wire.post("load_weights", body)).json()

    return check


def success(status: int) -> Callable[[Talk], None]:
    """A deletion succeeds with that status and is one; a session that is opened has its id still."""

    def check(talk: Talk) -> None:
        opened = talk.wire.post("create_session", {"tags": []})
        assert opened.json()["session_id"]
        answer = talk.wire.delete(f"training_runs/{talk.run}/checkpoints/weights/one")
        assert answer.status_code == status
        assert len(talk.checkpoints()) == 2

    return check


def failure_as_400(talk: Talk) -> None:
    """The poll is refused."""
    answer = talk.failed()
    assert answer.status_code == 400
    assert answer.json()["detail"]


def failure_as_error(talk: Talk) -> None:
    """No category."""
    assert set(talk.failed().json()) == {"error"}


def failure_as_type(talk: Talk) -> None:
    """A type and no `error`."""
    told = talk.failed().json()
    assert told["type"] == "request_failed"
    assert "error" not in told


def gone(kept: HTTPConnection, key: str) -> None:
    """Use the connection until it shows that it is cut, which takes a moment to arrive."""
    deadline = monotonic() + 10
    while monotonic() < deadline:
        kept.request("GET", "/api/v1/healthz", headers={"X-API-Key": key})
        kept.getresponse().read()


def missing_as_500(talk: Talk) -> None:
    """500, and the next request on the connection finds it gone; the twin is told 404."""
    assert talk.plain.get("training_runs/nobody").status_code == 404
    with closing(HTTPConnection(talk.wire.url.removeprefix("http://"), timeout=30)) as kept:
        kept.auto_open = 1
        kept.request("GET", "/api/v1/training_runs/nobody", headers={"X-API-Key": talk.wire.key})
        answer = kept.getresponse()
        assert (answer.status, answer.getheader("Connection"), answer.read() != b"") == (500, None, True)
        kept.auto_open = 0
        with pytest.raises((OSError, HTTPException)):
            gone(kept, talk.wire.key)
    assert len(talk.checkpoints()) == 3


def ids(shape: str) -> Callable[[Talk], None]:
    """No id of the official form is to be seen, and the others work."""

    def check(talk: Talk) -> None:
        listed = talk.listed()
        assert ":train:" not in str(listed) + str(talk.checkpoints())
        assert len(listed["training_run_id"]) == len(shape)
        info = talk.wire.post("get_info", {"model_id": listed["training_run_id"]}).json()
        assert info["model_id"] == listed["training_run_id"]
        talk.wire.seq[listed["training_run_id"]] = talk.plain.seq[talk.run]
        assert talk.wire.train(listed["training_run_id"])

    return check


def bare_checkpoint_ids(talk: Talk) -> None:
    """The name alone."""
    assert {one["checkpoint_id"] for one in talk.checkpoints()} == {"one", "two", "play"}


def two_part_sampler_paths(talk: Talk) -> None:
    """Only those for sampling."""
    paths = {one["tinker_path"] for one in talk.checkpoints()}
    assert paths == {*talk.paths, f"tinker://{talk.run}/play"}


def other_middle_part(talk: Talk) -> None:
    """Listed, described, loaded and deleted under the other word."""
    path = talk.paths[0].replace("/weights/", "/training/")
    assert path in {one["tinker_path"] for one in talk.checkpoints()}
    assert talk.wire.post("weights_info", {"tinker_path": path}).is_success
    assert "error" not in talk.wire.ended(talk.wire.load(path)).json()
    assert talk.wire.delete(f"training_runs/{talk.run}/checkpoints/training/one").is_success
    assert len(talk.plain.get(f"training_runs/{talk.run}/checkpoints").json()["checkpoints"]) == 2


def naive_times(talk: Talk) -> None:
    """The same moments without a zone."""
    times = [one["time"] for one in talk.checkpoints()]
    assert all(datetime.fromisoformat(time).tzinfo is None for time in times)
    assert datetime.fromisoformat(talk.listed()["last_request_time"]).tzinfo is None


def null_times(talk: Talk) -> None:
    """Of checkpoints only."""
    assert {one["time"] for one in talk.checkpoints()} == {None}
    assert talk.listed()["last_request_time"]


def still_clock(talk: Talk) -> None:
    """A request changes nothing."""
    before = talk.listed()["last_request_time"]
    talk.plain.train(talk.run)
    assert talk.listed()["last_request_time"] == before


def no_last_checkpoint(talk: Talk) -> None:
    """Null in the run, there in the list."""
    assert talk.listed()["last_checkpoint"] is None
    assert len(talk.checkpoints()) == 3


def no_metadata(talk: Talk) -> None:
    """Null everywhere."""
    rows = [talk.listed(), *talk.checkpoints()]
    assert {str(one["user_metadata"]) for one in rows} == {"None"}


def zero_count(talk: Talk) -> None:
    """Rows and a count of 0."""
    page = talk.wire.get("training_runs").json()
    assert page["training_runs"]
    assert page["cursor"]["total_count"] == 0


def no_cursor(talk: Talk) -> None:
    """Rows and nothing else."""
    assert set(talk.wire.get("training_runs").json()) == {"training_runs"}


def limit_500(talk: Talk) -> None:
    """More rows than were asked for."""
    talk.plain.order("seed", {"runs": 120, "owner": "limit-500"})
    page = talk.wire.get("training_runs", limit=1).json()
    assert page["cursor"]["limit"] == 500
    assert len(page["training_runs"]) > 120


def paged(limit: int) -> Callable[[Talk], None]:
    """The first page is no more than that, and the pages together are the whole."""

    def check(talk: Talk) -> None:
        for number in range(9):
            talk.plain.saved(talk.run, f"more-{number}")
        route = f"training_runs/{talk.run}/checkpoints"
        rows = [talk.wire.get(route, offset=offset).json()["checkpoints"] for offset in range(0, 12, limit)]
        assert len(rows[0]) == limit
        assert sorted(one["tinker_path"] for page in rows for one in page) == sorted(
            one["tinker_path"] for one in talk.plain.get(route).json()["checkpoints"]
        )

    return check


def unpaged(talk: Talk) -> None:
    """Everything again, whatever the offset."""
    first, second = (talk.wire.get("checkpoints", limit=1, offset=offset).json() for offset in (0, 2))
    assert first == second
    assert len(first["checkpoints"]) >= 3


def unordered(talk: Talk) -> None:
    """The same rows in an order of their own."""
    for number in range(9):
        talk.plain.saved(talk.run, f"more-{number}")
    route = f"training_runs/{talk.run}/checkpoints"
    mine, official = (
        [one["tinker_path"] for one in wire.get(route).json()["checkpoints"]] for wire in (talk.wire, talk.plain)
    )
    assert mine != official
    assert sorted(mine) == sorted(official)


def ghost_weights_info(talk: Talk) -> None:
    """Described although it is gone."""
    path = talk.deleted()
    assert talk.wire.post("weights_info", {"tinker_path": path}).json()["lora_rank"] == 4
    assert path not in {one["tinker_path"] for one in talk.checkpoints()}
    assert talk.wire.load(path).status_code == 404


def ghost_load(talk: Talk) -> None:
    """Loaded although it is gone."""
    path = talk.deleted()
    assert talk.wire.post("weights_info", {"tinker_path": path}).status_code == 404
    made = talk.wire.ended(talk.wire.load(path)).json()["model_id"]
    assert talk.wire.get(f"training_runs/{made}").json()["corrupted"] is False


def unloaded_models(talk: Talk) -> None:
    """Listed as fine, and no training call works; one that is made now does."""
    assert talk.listed()["corrupted"] is False
    assert talk.wire.gradient(talk.run).status_code == 400
    assert talk.wire.post("get_info", {"model_id": talk.run}).status_code == 404
    made = talk.wire.ended(talk.wire.load(talk.paths[0])).json()["model_id"]
    assert talk.wire.train(made)


def mixed(talk: Talk) -> None:
    """Both at once."""
    ids("model_1a2b3c4d")(talk)
    naive_times(talk)


CONFIG = {"sdk_version": "0.38.0"}
ONE = "training_runs/RUN/checkpoints/weights/one"
CHECKS: dict[str, Callable[[Talk], None]] = {
    "no-client-config": bare("client/config", "POST", CONFIG),
    "no-sessions": bare("sessions"),
    "no-user-checkpoints": bare("checkpoints"),
    "no-delete": bare(ONE, "DELETE"),
    "no-publish": bare(f"{ONE}/publish", "POST"),
    "no-ttl": bare(f"{ONE}/ttl", "PUT", {"ttl_seconds": 3600}),
    "no-run-listing": bare("training_runs"),
    "no-create-form-422": no_create_form(422),
    "no-create-form-400": no_create_form(400),
    "success-200": success(200),
    "success-201": success(201),
    "success-202": success(202),
    "success-204": success(204),
    "failure-as-400": failure_as_400,
    "failure-as-error": failure_as_error,
    "failure-as-type": failure_as_type,
    "missing-as-500": missing_as_500,
    "short-ids": ids("model_1a2b3c4d"),
    "uuid-ids": ids("0b5c1c7e-0000-5000-8000-000000000000"),
    "bare-checkpoint-ids": bare_checkpoint_ids,
    "two-part-sampler-paths": two_part_sampler_paths,
    "other-middle-part": other_middle_part,
    "naive-times": naive_times,
    "null-times": null_times,
    "still-clock": still_clock,
    "no-last-checkpoint": no_last_checkpoint,
    "no-metadata": no_metadata,
    "zero-count": zero_count,
    "no-cursor": no_cursor,
    "limit-500": limit_500,
    "paged-checkpoints": paged(2),
    "capped-checkpoints": paged(10),
    "unpaged": unpaged,
    "unordered": unordered,
    "ghost-weights-info": ghost_weights_info,
    "ghost-load": ghost_load,
    "unloaded-models": unloaded_models,
    MIXED: mixed,
}


def test_every_dialect_is_checked() -> None:
    assert set(CHECKS) == set(SPOKEN)
    assert {name for names in SPOKEN.values() for name in names} == set(DIALECTS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_dialect_deviates_as_it_says(served: Babel, name: str) -> None:
    with served.spoken(name) as wire, served.plain(name) as plain:
        run = plain.run(user_metadata={"experiment": "math"})
        paths = [plain.saved(run, step) for step in ("one", "two")]
        play = {"model_id": run, "seq_id": plain.next_seq(run), "path": "play", "kind": "snapshot"}
        plain.ended(plain.post("save_weights_for_sampler", play))
        wire.seq = dict(plain.seq)
        CHECKS[name](Talk(wire, plain, run, paths))


@pytest.mark.parametrize("name", CHECKS)
def test_a_dialect_still_creates_trains_and_saves(served: Babel, name: str) -> None:
    """What a dialect does not deviate in is the real service."""
    with served.spoken(name) as wire:
        made = wire.create(wire.session())
        answer = wire.post("retrieve_future", {"request_id": made.json()["request_id"]})
        run = answer.json()["model_id"]
        submitted = [wire.gradient(run), wire.optimize(run), wire.save(run, "one")]
        assert [one.is_success for one in submitted] == [True] * 3
        request_id = submitted[-1].json()["request_id"]
        assert run in wire.post("retrieve_future", {"request_id": request_id}).json()["path"]


@pytest.mark.parametrize("wanted", ["no-such-dialect", "no-delete@tml-nobody"])
def test_a_wrong_dialect_is_one_line_with_the_remedy(tmp_path: Path, wanted: str) -> None:
    command = [sys.executable, "-m", "tinker_simulator", "serve", "--port", "0", "--state-dir", str(tmp_path)]
    ended = subprocess.run([*command, "--dialect", wanted], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert wanted.partition("@")[0] in ended.stderr


def test_an_application_takes_dialects_too(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no-delete"):
        make_app(tmp_path, ["tml-a"], dialects=["no-such-dialect"])

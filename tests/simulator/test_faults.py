"""Each fault does what it says, to the requests it was ordered for, and to no other."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.http

RUNS = "GET /api/v1/training_runs$"


def test_an_http_fault_answers_in_place_of_doing(api: Wire) -> None:
    """The status, the Retry-After, the count; and nothing was saved."""
    run = api.run()
    api.fault("http", status=429, retry_after=7, count=1, route="POST .*/save_weights$")
    refused = api.save(run, "a")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert refused.json()["detail"]
    assert api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"] == []
    assert api.saved(run, "a").endswith("/weights/a")


def test_a_fault_for_some_seconds_ends_by_itself(api: Wire) -> None:
    """Every request meets it until then."""
    began = time.monotonic()
    api.fault("http", status=503, seconds=1, route=RUNS)
    assert api.get("training_runs").status_code == 503
    while api.get("training_runs").status_code == 503:
        assert time.monotonic() - began < 20

    assert time.monotonic() - began >= 1


def test_latency_delays_and_then_answers(api: Wire) -> None:
    """Before the request is looked at."""
    api.fault("latency", delay=0.4, count=1, route=RUNS)
    began = time.monotonic()

    assert api.get("training_runs").status_code == 200
    assert time.monotonic() - began >= 0.4


def test_latency_and_another_fault_meet_the_same_request(api: Wire) -> None:
    """Slow, then broken."""
    api.fault("http", status=500, count=1, route=RUNS)
    api.fault("latency", delay=0.3, count=1, route=RUNS)
    began = time.monotonic()

    assert api.get("training_runs").status_code == 500
    assert api.get("training_runs").status_code == 200
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True), ("midway", True)])
def test_a_dropped_connection_leaves_the_deed_undone_or_done(api: Wire, when: str, done: bool) -> None:
    """The client cannot tell; the run asked for exists, or does not."""
    session = api.session()
    api.fault("drop", when=when, count=1, route="POST .*/create_model$")
    with pytest.raises(httpx.RemoteProtocolError):
        api.create(session)

    answer = api.post("retrieve_future", {"request_id": f"{session}:train:0:0"})
    assert (answer.status_code == 200) is done
    assert api.ended(api.create(session)).json()["model_id"] == f"{session}:train:0"


def test_garbage_is_200_and_not_json(api: Wire) -> None:
    """What a broken proxy answers."""
    api.fault("garbage", count=1, route=RUNS)
    answer = api.get("training_runs")

    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        answer.json()


def test_half_a_body_is_whole_for_http_and_cut_for_json(api: Wire) -> None:
    """The content length fits what was sent."""
    whole = api.get("training_runs")
    api.fault("half-body", count=1, route=RUNS)
    half = api.get("training_runs")

    assert half.status_code == 200
    assert half.content == whole.content[: len(whole.content) // 2]
    assert half.headers["content-type"] == whole.headers["content-type"]


def test_a_share_of_calls_can_fail(api: Wire) -> None:
    """Each third, and no other; the rest of the service is as it was."""
    api.fault("http", status=503, every=3, route=RUNS)
    answers = [api.get("training_runs").status_code for _ in range(7)]
    other = api.get("healthz").status_code
    api.http.delete("/_simulator/faults")

    assert answers == [200, 200, 503, 200, 200, 503, 200]
    assert other == 200


def test_half_a_page_misses_rows_that_its_count_still_has(api: Wire) -> None:
    """Without a route it meets listings alone, and uses up its count on nothing else."""
    api.order("seed", {"runs": 5, "owner": f"{api.key}-owner"})
    api.fault("half-page", count=1)
    assert api.session()
    page = api.get("training_runs").json()

    assert (len(page["training_runs"]), page["cursor"]["total_count"]) == (2, 5)
    assert len(api.get("training_runs").json()["training_runs"]) == 5


BROKEN: dict[str, str] = {
    "truncate": "does not match its checksum",
    "nan": "not finite",
    "rank": "LoRA rank",
    "remove": "missing from storage",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_checkpoint_is_listed_as_before_and_does_not_load(api: Wire, how: str) -> None:
    """The load finds what is wrong with the file, by the user's fault; the listing and `weights_info` know nothing."""
    run = api.run()
    api.train(run)
    path = api.saved(run, "a")
    before = api.get(f"training_runs/{run}/checkpoints").json()
    file = Path(api.order("break-checkpoint", {"path": path, "how": how})["file"])

    assert api.get(f"training_runs/{run}/checkpoints").json() == before
    assert api.post("weights_info", {"tinker_path": path}).status_code == 200
    session = api.session()
    failed = api.ended(api.load(path, session)).json()
    assert (failed["category"], BROKEN[how] in failed["error"]) == ("user", True), failed
    assert api.get(f"training_runs/{session}:train:0").status_code == 404
    assert file.exists() is (how != "remove")
    assert len(api.train(run)) == 1


def test_a_file_broken_by_hand_is_found_as_well(api: Wire, shared: Served) -> None:
    """No order is needed: the content is checked on every load."""
    run = api.run()
    path = api.saved(run, "a")
    file = next((shared.state_dir / "checkpoints" / run.replace(":", "_") / "weights").glob("*.npz"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    assert "checksum" in api.ended(api.load(path)).json()["error"]


def test_a_load_can_fail_by_the_services_own_fault(api: Wire) -> None:
    """Only loads of that path, only so often."""
    run = api.run()
    one, other = api.saved(run, "one"), api.saved(run, "other")
    api.fault("load-failure", route="/one$", count=1)

    assert "error" not in api.ended(api.load(other)).json()
    assert api.ended(api.load(one)).json()["category"] == "server"
    assert "error" not in api.ended(api.load(one)).json()


def test_a_fault_never_meets_an_administrator(api: Wire) -> None:
    """Or nobody could clear it."""
    api.fault("http", status=500)
    api.fault("drop")

    assert api.get("training_runs").status_code == 500
    assert len(api.http.get("/_simulator/faults").json()["faults"]) == 2
    assert api.http.delete("/_simulator/faults").status_code == 200
    assert api.get("training_runs").status_code == 200


REFUSED_RULES: dict[str, dict[str, Any]] = {
    "an unknown kind": {"kind": "flood"},
    "an http fault without a status": {"kind": "http"},
    "a status that is no error": {"kind": "http", "status": 200},
    "a delay of nothing": {"kind": "latency"},
    "a count and seconds": {"kind": "drop", "count": 1, "seconds": 1},
    "a route that is no expression": {"kind": "drop", "route": "("},
    "a field that nobody knows": {"kind": "drop", "rout": "x"},
}


@pytest.mark.parametrize("why", REFUSED_RULES)
def test_a_fault_is_refused_for(api: Wire, why: str) -> None:
    """A fault that is mistaken must not pass for one that never met anything."""
    assert api.http.post("/_simulator/faults", json=REFUSED_RULES[why]).status_code == 422
    assert api.http.get("/_simulator/faults").json()["faults"] == []


def test_orders_about_what_is_not_there_are_refused(api: Wire) -> None:
    """404, not silence."""
    run = api.run()
    answers = [
        api.http.post("/_simulator/corrupt", json={"run": "nobody"}),
        api.http.post("/_simulator/lose", json={"run": "nobody"}),
        api.http.post("/_simulator/break-checkpoint", json={"path": f"tinker://{run}/weights/a", "how": "nan"}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_every_call_is_counted_by_route_and_changes_are_kept(own: Served, connect: Callable[..., Wire]) -> None:
    """So a test can say "two calls, not two thousand", and "nobody asked to delete this"."""
    api = connect(own)
    run = api.run()
    path = api.saved(run, "a")
    assert api.delete(f"training_runs/{run}/checkpoints/weights/a").status_code == 204
    api.fault("http", status=500, count=1, route="DELETE")
    assert api.delete(f"training_runs/{run}/checkpoints/weights/b").status_code == 500
    for _ in range(3):
        api.get(f"training_runs/{run}")
    calls = api.calls()

    assert calls["counts"]["GET /api/v1/training_runs/{run_id}"] == 3
    assert calls["counts"]["DELETE /api/v1/training_runs/{run_id}/checkpoints/{kind}/{name}"] == 2
    deleted = [call["path"].rsplit("/", 1)[1] for call in calls["changing"] if call["method"] == "DELETE"]
    assert deleted == ["a", "b"]
    saved = next(call for call in calls["changing"] if call["route"] == "/api/v1/save_weights")
    assert (saved["fields"]["model_id"], saved["fields"]["path"]) == (run, path.rsplit("/", 1)[1])
    assert "retrieve_future" not in {call["route"].rsplit("/", 1)[1] for call in calls["changing"]}


def test_admin_routes_are_not_there_unless_asked_for(tmp_path: Path) -> None:
    """404 as for any other unknown route."""
    served = Served(tmp_path, admin=False)
    served.start()
    with httpx.Client(base_url=served.url) as client:
        answers = [client.get("/_simulator/calls"), client.post("/_simulator/faults", json={"kind": "drop"})]
    served.close()

    assert [(answer.status_code, answer.json()) for answer in answers] == [(404, {"detail": "Not Found"})] * 2

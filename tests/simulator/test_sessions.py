"""Sessions: listed, searched, moved into projects, and what became of them; and what others may see."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.http

Connect = Callable[..., Wire]


def opened(api: Wire, **fields: Any) -> str:
    return str(api.post("create_session", {"tags": [], **fields}).json()["session_id"])


def search(api: Wire, **asked: Any) -> list[dict[str, Any]]:
    answer = api.post("sessions/search", asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [session["session_id"] for session in found]


def finish(api: Wire, session: str, reason: str, detail: str | None = None) -> None:
    answer = api.post(f"sessions/{session}/finish", {"reason": {"type": reason}, "detail": detail})
    assert answer.status_code == 200


def test_sessions_are_listed_newest_first_by_pages(api: Wire) -> None:
    """Without a cursor, finished ones as well."""
    made = [opened(api) for _ in range(5)]
    finish(api, made[1], "success")

    pages = [api.get("sessions", limit=2, offset=offset).json() for offset in (0, 2, 4, 6)]
    assert [session for page in pages for session in page["sessions"]] == made[::-1]
    assert [set(page) for page in pages] == [{"sessions"}] * 4


def test_a_session_found_says_everything_about_it(api: Wire) -> None:
    """What it keeps, whose it is, since when."""
    session = opened(api, display_name="nightly", user_metadata={"a": "b"}, project_id="mine")
    run = str(api.ended(api.create(session)).json()["model_id"])
    api.saved(run, "one")
    api.saved(run, "two")
    sizes = [found["size_bytes"] for found in api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]]
    (found,) = search(api)

    assert datetime.fromisoformat(found.pop("created_at")).tzinfo is not None
    assert found == {
        "session_id": session,
        "owner": f"tml:user:{api.key}-owner",
        "project_id": "mine",
        "status": {"type": "active"},
        "checkpoints_count": 2,
        "checkpoint_storage_bytes": sum(sizes),
        "display_name": "nightly",
        "user_metadata": {"a": "b"},
    }


def fates(api: Wire) -> dict[str, str]:
    """A session of every fate."""
    made = {name: opened(api, display_name=name) for name in ("success", "errored", "interrupted", "cancelled")}
    for reason in ("success", "errored", "interrupted"):
        finish(api, made[reason], reason, f"it was {reason}")
    api.order("cancel-session", {"session": made["cancelled"], "detail": "by hand"})
    run = api.run()
    api.order("corrupt", {"run": run})
    return {**made, "failed": run.split(":")[0]}


def test_a_session_tells_what_became_of_it(api: Wire) -> None:
    """By a corrupted run it has failed, and the run is named: nothing else tells a cause."""
    made = fates(api)
    told = {session["session_id"]: session["status"] for session in search(api)}

    for reason in ("success", "errored", "interrupted"):
        expected = {"type": "client_finished", "reason": {"type": reason}, "detail": f"it was {reason}"}
        assert told[made[reason]] == expected
    assert told[made["cancelled"]] == {"type": "cancelled", "detail": "by hand"}
    failed = told[made["failed"]]
    assert (failed["type"], failed["category"]) == ("failed", "internal")
    assert failed["reason"] == {"type": "training_run", "training_run_id": f"{made['failed']}:train:0"}
    assert f"{made['failed']}:train:0" in failed["message"]


def test_a_cancelled_session_can_be_used_no_more(api: Wire) -> None:
    """410, as a finished one; the reason that came first stays."""
    session = opened(api)
    api.order("cancel-session", {"session": session})
    finish(api, session, "success")

    assert api.post("session_heartbeat", {"session_id": session}).status_code == 410
    assert api.create(session).status_code == 410
    assert search(api)[0]["status"]["type"] == "cancelled"


def test_a_session_without_signs_of_life_has_no_status(own: Served, connect: Connect) -> None:
    """Two minutes after the last heartbeat nothing is known of it; a heartbeat brings it back."""
    api = connect(own)
    session = opened(api)
    api.order("clock", {"advance_seconds": 100})
    assert api.post("session_heartbeat", {"session_id": session}).status_code == 200
    api.order("clock", {"advance_seconds": 119})
    alive = search(api)[0]["status"]
    api.order("clock", {"advance_seconds": 2})
    silent = search(api)[0]["status"]
    assert search(api, statuses=[{"type": "active"}]) == []
    api.post("session_heartbeat", {"session_id": session})

    assert (alive, silent, search(api)[0]["status"]) == ({"type": "active"}, None, {"type": "active"})


BY_STATUS: dict[str, tuple[list[dict[str, Any]], set[str]]] = {
    "one": ([{"type": "cancelled"}], {"cancelled"}),
    "any of two": ([{"type": "cancelled"}, {"type": "failed"}], {"cancelled", "failed"}),
    "whatever its client said": ([{"type": "client_finished"}], {"success", "errored", "interrupted"}),
    "what its client said": (
        [{"type": "client_finished", "reasons": ["errored", "interrupted"]}],
        {"errored", "interrupted"},
    ),
    "none that there is": ([{"type": "active"}], set()),
}


@pytest.mark.parametrize("which", BY_STATUS)
def test_sessions_are_found_by_what_became_of_them(api: Wire, which: str) -> None:
    """Any of the statuses asked for."""
    statuses, expected = BY_STATUS[which]
    made = fates(api)

    assert set(ids(search(api, statuses=statuses))) == {made[name] for name in expected}


def test_sessions_are_found_by_what_they_are(api: Wire) -> None:
    """Words of the name in any case and order, every pair of metadata, any of the projects, the id or the name."""
    nightly = opened(api, display_name="Nightly Math run", user_metadata={"a": "1", "b.c/d": "2"}, project_id="p1")
    weekly = opened(api, display_name="weekly math", user_metadata={"a": "1"}, project_id="p2")
    bare = opened(api)

    assert ids(search(api, display_name="MATH nightly")) == [nightly]
    assert ids(search(api, display_name="math")) == [weekly, nightly]
    assert ids(search(api, user_metadata={"a": "1"})) == [weekly, nightly]
    assert ids(search(api, user_metadata={"a": "1", "b.c/d": "2"})) == [nightly]
    assert search(api, user_metadata={"a": "2"}) == []
    assert ids(search(api, project_ids=["p1", "default"])) == [bare, nightly]
    assert ids(search(api, session_id=bare)) == [bare]
    assert ids(search(api, session_id=bare, display_name="weekly")) == [bare, weekly]
    assert ids(search(api, display_name="math", project_ids=["p2"])) == [weekly]


def test_a_search_goes_on_after_the_last_session_of_a_page(api: Wire) -> None:
    """Each once, though others are opened meanwhile; the last page has no cursor."""
    made = [opened(api) for _ in range(7)]
    found, cursor, pages = list[str](), None, 0
    while pages == 0 or cursor is not None:
        answer = api.post("sessions/search", {"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        found += ids(answer["sessions"])
        cursor = answer.get("next_cursor")
        pages += 1
        opened(api)

    assert (found, pages) == (made[::-1], 3)


REFUSED: dict[str, dict[str, Any]] = {
    "a limit of nothing": {"limit": 0},
    "a limit over 200": {"limit": 201},
    "no name": {"display_name": ""},
    "a status that there is not": {"statuses": [{"type": "asleep"}]},
    "no status": {"statuses": []},
    "no owner": {"owner": {"type": "user", "owner_urns": []}},
    "eleven owners": {"owner": {"type": "user", "owner_urns": ["tml:user:a"] * 11}},
    "a cursor without a zone": {"cursor": {"last_created_at": "2026-01-01T00:00:00", "last_session_id": "a"}},
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_search_is_refused_for(api: Wire, why: str) -> None:
    """422."""
    assert api.post("sessions/search", REFUSED[why]).status_code == 422


def test_others_see_what_they_ask_for_as_accessible(api: Wire, shared: Served, connect: Connect) -> None:
    """All keys are of one organization: runs and sessions of others are read, never changed, and not by default."""
    run = api.run()
    session = run.split(":")[0]
    other = connect(shared)
    wide = {"access_scope": "accessible"}

    assert [other.get(route).status_code for route in (f"training_runs/{run}", f"sessions/{session}")] == [404, 404]
    assert other.get(f"training_runs/{run}", **wide).json() == api.get(f"training_runs/{run}").json()
    assert other.get(f"sessions/{session}", **wide).json()["training_run_ids"] == [run]
    assert other.get("training_runs").json()["cursor"]["total_count"] == 0
    listed = other.get("training_runs", limit=100, **wide).json()
    assert run in [found["training_run_id"] for found in listed["training_runs"]]
    assert listed["cursor"]["total_count"] >= 1
    assert session in other.get("sessions", limit=100, **wide).json()["sessions"]
    assert session in ids(search(other, owner={"type": "accessible"}, limit=200))
    assert ids(search(other, owner={"type": "user", "owner_urns": [f"tml:user:{api.key}-owner"]})) == [session]
    assert search(other) == []
    assert other.put(f"sessions/{session}/project", {"project_id": "stolen"}).status_code == 404
    assert other.get(f"sessions/{session}/trace_export").status_code == 404
    assert other.get("training_runs", access_scope="all").status_code == 422


def test_a_session_takes_its_runs_along_into_a_project(api: Wire) -> None:
    """Listings of a project have them from then on, and the count is the project's."""
    runs = [api.run() for _ in range(3)]
    for run in runs[:2]:
        assert api.put(f"sessions/{run.split(':')[0]}/project", {"project_id": "p1"}).status_code == 204

    page = api.get("training_runs", project_id="p1", limit=1).json()
    assert (len(page["training_runs"]), page["cursor"]["total_count"]) == (1, 2)
    assert api.get("training_runs", project_id="default").json()["cursor"]["total_count"] == 1
    assert api.get("training_runs", project_id="p2").json()["training_runs"] == []
    session = runs[0].split(":")[0]
    assert [api.put(f"sessions/{session}/project", body).status_code for body in ({}, {"project_id": ""})] == [400, 400]
    assert api.put("sessions/nobody/project", {"project_id": "p1"}).status_code == 404


def test_a_trace_is_built_once_and_anew_when_something_has_happened(api: Wire) -> None:
    """Pending for whoever asks first, then ready; the link needs no key."""
    run = api.run()
    route = f"sessions/{run.split(':')[0]}/trace_export"
    answers = [api.get(route).json() for _ in range(3)]
    first = httpx.get(answers[1]["url"]).json()
    api.saved(run, "a")
    later = [api.get(route).json()["status"] for _ in range(3)]
    second = httpx.get(api.get(route).json()["url"]).json()

    assert [answer["status"] for answer in answers] == ["pending", "ready", "ready"]
    assert later == ["pending", "ready", "ready"]
    assert [event["name"] for event in first["traceEvents"]] == ["thread_name", "Qwen/Qwen3-8B"]
    assert [event["name"] for event in second["traceEvents"]][-1] == "weights/a"
    assert all(event["dur"] >= 0 for event in second["traceEvents"] if event["ph"] == "X")

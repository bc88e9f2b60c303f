"""Numbers, times and texts at the edge of what can be written are refused in words, and break nothing behind them."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.simulator.bare import BASE_MODEL, Served, Wire

pytestmark = pytest.mark.http

ADAPTER = {"rank": 4}


def deep() -> bytes:
    return b'{"tags": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("number", [2**63, 2**70, 10**30, -1])
def test_a_number_that_cannot_be_kept_is_refused(api: Wire, number: int) -> None:
    session, run = api.session(), api.run()
    model: dict[str, Any] = {"session_id": session, "model_seq_id": number, "base_model": BASE_MODEL}
    refused = [
        api.post("optim_step", {"model_id": run, "seq_id": number, "adam_params": {}}),
        api.post("save_weights", {"model_id": run, "seq_id": number, "path": "n"}),
        api.post("create_model", {**model, "lora_config": ADAPTER}),
        api.get("training_runs", offset=number),
        api.get("checkpoints", offset=number),
        api.get("sessions", offset=number),
    ]
    assert [answer.status_code for answer in refused] == [422] * 6
    assert len(api.get("training_runs").json()["training_runs"]) == 1


def test_a_seed_that_cannot_be_kept_is_refused(api: Wire) -> None:
    assert api.create(api.session(), lora_config={"rank": 4, "seed": 2**70}).status_code == 422


def test_a_body_of_a_hundred_thousand_brackets_is_refused(api: Wire) -> None:
    assert api.http.post("/api/v1/create_session", content=deep()).status_code == 422


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_cursor_outside_the_calendar_is_refused(api: Wire, moment: str) -> None:
    cursor = {"last_created_at": moment, "last_session_id": "' OR 1=1 --"}
    assert api.post("sessions/search", {"cursor": cursor}).status_code == 422


@pytest.mark.parametrize("seconds", [1e12, 1e18, 1e300])
def test_the_clock_is_not_moved_out_of_the_calendar(own: Served, connect: Callable[..., Wire], seconds: float) -> None:
    """A simulator whose time cannot be told would answer nothing any more, after a start either."""
    wire = connect(own)
    assert wire.http.post("/_simulator/clock", json={"advance_seconds": seconds}).status_code == 422
    assert wire.get("training_runs").status_code == 200


def test_the_clock_does_not_leave_the_calendar_in_small_steps(own: Served, connect: Callable[..., Wire]) -> None:
    wire = connect(own)
    steps = [wire.http.post("/_simulator/clock", json={"advance_seconds": 2e10}).status_code for _ in range(3)]
    assert steps == [200, 400, 400]
    assert wire.get("training_runs").status_code == 200


def test_clearing_lets_go_whom_a_delay_holds_up(own: Served, connect: Callable[..., Wire]) -> None:
    """An operation that was slowed for ten minutes goes on when the faults end."""
    wire = connect(own)
    run = wire.run()
    wire.fault("slow", delay=600)
    submitted = wire.post("save_weights", {"model_id": run, "path": "late", "seq_id": wire.next_seq(run)})
    body = {"request_id": submitted.json()["request_id"]}
    wire.http.put("/_simulator/behaviour", json={"hold_seconds": 0.1}).raise_for_status()
    assert wire.post("retrieve_future", body).status_code == 408
    wire.http.delete("/_simulator/faults").raise_for_status()
    wire.http.put("/_simulator/behaviour", json={"hold_seconds": 10}).raise_for_status()
    assert wire.post("retrieve_future", body).status_code == 200


def test_no_order_is_taken_without_being_told_to(own: Served, connect: Callable[..., Wire]) -> None:
    """However it is spelled."""
    own.close()
    own.admin = False
    own.start()
    wire = connect(own)
    for prefix in ("/_simulator/", "//_simulator/", "/_Simulator/", "/api/v1/%2e%2e/%2e%2e/_simulator/"):
        for path in ("calls", "faults", "clock", "seed", "corrupt", "behaviour", ""):
            for method in ("GET", "POST", "PUT", "DELETE"):
                assert wire.http.request(method, prefix + path, json={}).status_code == 404

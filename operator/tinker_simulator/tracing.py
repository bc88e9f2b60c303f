"""A session's timeline in the JSON form of trace events, which trace viewers such as Perfetto open."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tinker_simulator.records import CheckpointRecord, RunRecord, SessionRecord
from tinker_simulator.storage.store import Store

_PROCESS = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """The document, and a short name for what it shows."""

    content: bytes
    state: str


def trace_of(store: Store, session: SessionRecord, now: datetime) -> Trace:
    """The timeline of a session: how long each run was at work, and when its checkpoints were saved."""
    events: list[dict[str, Any]] = []
    for number, run_id in enumerate(store.runs.ids_of_session(session.session_id), start=1):
        run = store.runs.named(run_id)
        if run is not None:
            events.extend(_events(number, run, store.checkpoints.of_run(run_id, now)))
    content = json.dumps({"displayTimeUnit": "ms", "traceEvents": events}, indent=1).encode()
    return Trace(content, hashlib.sha256(content).hexdigest()[:16])


def _events(number: int, run: RunRecord, checkpoints: list[CheckpointRecord]) -> Iterator[dict[str, Any]]:
    began, ended = _microseconds(run.created_at), _microseconds(run.last_request_time)
    place = {"pid": _PROCESS, "tid": number}
    yield {"name": "thread_name", "ph": "M", **place, "args": {"name": run.run_id}}
    yield {"name": run.config.base_model, "ph": "X", "ts": began, "dur": ended - began, **place}
    for checkpoint in checkpoints:
        saved = _microseconds(checkpoint.created_at)
        yield {"name": checkpoint.checkpoint_id, "ph": "i", "s": "t", "ts": saved, **place}


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)

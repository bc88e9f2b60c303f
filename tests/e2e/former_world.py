"""What an earlier operator left behind: a world at the service, and the two objects with the status that it wrote.

The files of `former/` were written by the operator as it was at four points of the project's history, after it had
brought a lost run back and judged its four checkpoints. What differs from one service to the next stands in braces.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.stage import Stage

FOLDER = Path(__file__).parent / "former"
VERSIONS = sorted(path.stem for path in FOLDER.iterdir())
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Left:
    """What was left behind.

    Attributes:
        lost: The run that was lost, flagged as corrupted.
        current: The run that came of it.
        paths: Checkpoints of the lost run, oldest first.
        public: Those that the operator had published.
        objects: TrainingRun and CheckpointPolicy, as they stand in the cluster.
    """

    lost: str
    current: str
    paths: tuple[str, ...]
    public: tuple[str, ...]
    objects: tuple[dict[str, Any], ...]


def left_behind(stage: Stage, version: str, now: datetime) -> Left:
    """Makes the world of a version: the same runs and checkpoints at the service, the same status in the cluster.

    Args:
        stage: The stage, with no operator running.
        version: One of VERSIONS.
        now: To which the moment of writing is moved.
    """
    text = (FOLDER / f"{version}.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    words = {"{namespace}": stage.namespace, "{lost}": stage.wire.run()}
    known, public = _checkpoints(stage, words["{lost}"], stored["checkpoints"])
    metadata = json.loads(_replaced(json.dumps(stored["current"]), words))
    words["{current}"] = stage.wire.run(user_metadata=metadata)
    words["{session}"] = words["{current}"].partition(":")[0]
    words |= {f"{{time of {one['checkpoint_id'].rpartition('/')[2]}}}": one["time"] for one in known.values()}
    stage.corrupt(words["{lost}"])
    passed = now - datetime.fromisoformat(stored["recordedAt"])
    objects = json.loads(_replaced(_TIME.sub(lambda it: _moved(it[0], passed), json.dumps(stored["objects"])), words))
    for one in objects:
        _apply(stage, _sized(one, {path: it["size_bytes"] for path, it in known.items()}))
    kinds = (("trainingrun", "sft"), ("checkpointpolicy", "keep"))
    there = tuple(stage.get(*each) for each in kinds)
    return Left(words["{lost}"], words["{current}"], tuple(known), public, there)


def _checkpoints(
    stage: Stage, run: str, stored: list[dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    public = []
    for one in stored:
        stage.wire.train(run)
        path = stage.wire.saved(run, one["name"], user_metadata=one["metadata"])
        if one["public"]:
            assert stage.wire.post(f"training_runs/{run}/checkpoints/weights/{one['name']}/publish").is_success
            public.append(path)
    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    return {one["tinker_path"]: one for one in reversed(listed)}, tuple(public)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _moved(time: str, passed: timedelta) -> str:
    return (datetime.fromisoformat(time) + passed).isoformat().replace("+00:00", "Z")


def _sized(value: Any, sizes: Mapping[str, int]) -> Any:
    """The same with the sizes that checkpoints have at this service: by time and size they are known again."""
    if isinstance(value, list):
        return [_sized(one, sizes) for one in value]
    if not isinstance(value, dict):
        return value
    size = sizes.get(value.get("path") or value.get("checkpoint") or "")
    own = {"sizeBytes": size} if size is not None and "sizeBytes" in value else {}
    return {name: _sized(one, sizes) for name, one in value.items()} | own


def _apply(stage: Stage, obj: dict[str, Any]) -> None:
    status = obj.pop("status")
    stage.apply(obj)
    stage.patch_status(obj["kind"].lower(), obj["metadata"]["name"], {"status": status})

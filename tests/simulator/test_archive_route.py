"""The old download of a checkpoint as one file: there where it was asked for, in either form."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from safetensors.numpy import load
from tests.simulator.bare import KEYS, Served, Wire

pytestmark = pytest.mark.http

Connect = Callable[..., Wire]


@contextmanager
def serving(tmp_path: Path, connect: Connect, *options: str) -> Iterator[tuple[Wire, str]]:
    """A simulator with these options, a checkpoint there, and the route of its archive."""
    served = Served(tmp_path, options=options)
    served.start()
    try:
        api = connect(served, KEYS[0])
        run = api.run(rank=7)
        api.saved(run, "a")
        yield api, f"training_runs/{run}/checkpoints/weights/a"
    finally:
        served.close()


def members(link: str) -> dict[str, bytes]:
    """The files in an archive."""
    with tarfile.open(fileobj=io.BytesIO(httpx.get(link).content)) as archive:
        return {name: file.read() for name in archive.getnames() if (file := archive.extractfile(name)) is not None}


def test_there_is_no_such_route_unless_it_was_asked_for(api: Wire) -> None:
    """As at a service that has given it up: the bare answer to a missing route."""
    run = api.run()
    api.saved(run, "a")
    answer = api.get(f"training_runs/{run}/checkpoints/weights/a/archive")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_a_redirect_leads_to_the_adapter_in_one_file(tmp_path: Path, connect: Connect) -> None:
    """302 with the link and its end; the file holds an adapter, and says that it is complete."""
    with serving(tmp_path, connect, "--archive-route", "redirect") as (api, route):
        answer = api.get(f"{route}/archive")
        files = members(answer.headers["location"])

    assert answer.status_code == 302
    left = parsedate_to_datetime(answer.headers["expires"]) - datetime.now(UTC)  # noqa: TID251 (a header of now)
    assert timedelta(minutes=13) < left <= timedelta(minutes=15)
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors", "checkpoint_complete"}
    assert json.loads(files["adapter_config.json"])["r"] == 7
    assert load(files["adapter_model.safetensors"])


def test_a_document_tells_the_link_as_well(tmp_path: Path, connect: Connect) -> None:
    """200 with `url` and `expires`, the latter with a zone; exports are packed as they are."""
    with serving(tmp_path, connect, "--archive-route", "document") as (api, route):
        run = route.split("/")[1]
        api.ended(api.post("save_weights_external", {"model_id": run, "seq_id": api.next_seq(run), "path": "out"}))
        for each in (route, f"training_runs/{run}/checkpoints/external_weights/out"):
            answer = api.get(f"{each}/archive")
            assert answer.status_code == 200
            assert datetime.fromisoformat(answer.json()["expires"]).tzinfo is not None
            assert len(members(answer.json()["url"])) == 3


def test_the_first_to_ask_has_to_wait_where_building_takes_time(tmp_path: Path, connect: Connect) -> None:
    """503 once; a checkpoint that is not there is 404 from the beginning."""
    with serving(tmp_path, connect, "--archive-route", "redirect", "--archive-slow") as (api, route):
        answers = [api.get(f"{route}/archive") for _ in range(3)]
        missing = api.get(f"{route}-not/archive")

    assert [answer.status_code for answer in answers] == [503, 302, 302]
    assert answers[0].headers["retry-after"] == "30"
    assert missing.status_code == 404


def test_an_archive_goes_with_its_checkpoint(tmp_path: Path, connect: Connect) -> None:
    """And a broken checkpoint is not packed."""
    with serving(tmp_path, connect, "--archive-route", "redirect") as (api, route):
        link = api.get(f"{route}/archive").headers["location"]
        assert api.delete(route).status_code == 204
        run = route.split("/")[1]
        api.order("break-checkpoint", {"path": api.saved(run, "b"), "how": "nan"})
        broken = api.get(f"training_runs/{run}/checkpoints/weights/b/archive")

        assert httpx.get(link).status_code == 404
        assert (broken.status_code, "not finite" in broken.json()["detail"]) == (400, True)
    assert not list(tmp_path.rglob("*.tar"))

"""The pieces that downloads are made of: errors, addresses, answers, and the last act."""

import asyncio
import copy
import inspect
import ipaddress
import json
import os
import pickle
import re
import sys
from pathlib import Path

import httpx
import pytest
from tests.tinker.download_store import Content, FakeStore, names_in

from tinker_operator.tinker.download import errors
from tinker_operator.tinker.download.addresses import Reach, may_send, reach_of
from tinker_operator.tinker.download.answers import Meaning, understood
from tinker_operator.tinker.download.disk import exchanged, put_back, put_in_place
from tinker_operator.tinker.download.errors import DownloadError
from tinker_operator.tinker.download.part import Version

LINE = re.compile(r"^    (?P<bars>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<text>.*)$")
CLASSES: dict[str, type[DownloadError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, DownloadError) and kind.__module__ == errors.__name__
}


@pytest.mark.pure
def test_the_docstring_draws_every_error_with_its_transience() -> None:
    """As the tree that it is a branch of."""
    drawn = {
        match["name"]: match["text"].endswith(" transient")
        for match in map(LINE.match, (errors.__doc__ or "").splitlines())
        if match and match["name"] != "TinkerError"
    }
    assert drawn == {name: kind.transient for name, kind in CLASSES.items()}


@pytest.mark.pure
@pytest.mark.parametrize("kind", CLASSES.values())
def test_each_error_has_a_reason_a_remedy_and_survives_pickling(kind: type[DownloadError]) -> None:
    """It says what happened, then what to do."""
    error = kind("It broke")
    assert (kind.reason, issubclass(kind, DownloadError)) == (kind.__name__, True)
    assert re.fullmatch(r"It broke\. [A-Z].+\.", str(error))
    assert str(copy.copy(error)) == str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


@pytest.mark.pure
@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", Reach.GLOBAL),
        ("2606:4700::1111", Reach.GLOBAL),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.9.9.9", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("169.254.169.254", Reach.SPECIAL),
        ("fe80::1", Reach.SPECIAL),
        ("::ffff:169.254.169.254", Reach.SPECIAL),
        ("0.0.0.0", Reach.SPECIAL),  # noqa: S104 - judged, not bound
        ("::", Reach.SPECIAL),
        ("224.0.0.1", Reach.SPECIAL),
        ("ff02::1", Reach.SPECIAL),
    ],
)
def test_how_far_an_address_reaches(address: str, reach: Reach) -> None:
    """Also when it comes wrapped in another."""
    assert reach_of(ipaddress.ip_address(address)) is reach


@pytest.mark.pure
def test_a_service_sends_outwards_and_to_its_equals_only() -> None:
    """Never inwards, and nobody to the special ones."""
    allowed = {(service, there) for service in Reach for there in Reach if may_send(service, there)}
    assert allowed == {
        *((service, Reach.GLOBAL) for service in Reach),
        *((service, Reach.PRIVATE) for service in (Reach.SPECIAL, Reach.LOOPBACK, Reach.PRIVATE)),
        *((service, Reach.LOOPBACK) for service in (Reach.SPECIAL, Reach.LOOPBACK)),
    }


HAVE = Version('"tag"', None, 100)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("status", "headers", "meaning"),
    [
        pytest.param(206, {"Content-Range": "bytes 40-99/100", "ETag": '"tag"'}, Meaning.REST, id="the rest"),
        pytest.param(206, {"Content-Range": "bytes 40-99/100"}, Meaning.REST, id="the rest, without its tag"),
        pytest.param(206, {"Content-Range": "bytes 40-99/*"}, Meaning.REST, id="the rest of who knows how much"),
        pytest.param(206, {"Content-Range": "bytes 41-99/100"}, Meaning.CHANGED, id="from another byte"),
        pytest.param(206, {"Content-Range": "bytes 40-80/100"}, Meaning.CHANGED, id="not to the end"),
        pytest.param(206, {"Content-Range": "bytes 40-100/101"}, Meaning.CHANGED, id="of another size"),
        pytest.param(206, {"Content-Range": "bytes 40-99/100", "ETag": '"new"'}, Meaning.CHANGED, id="of another tag"),
        pytest.param(206, {}, Meaning.CHANGED, id="no word of the range"),
        pytest.param(206, {"Content-Range": "lines 40-99/100"}, Meaning.CHANGED, id="in another unit"),
        pytest.param(
            206, {"Content-Range": "bytes 40-99/100", "Content-Encoding": "gzip"}, Meaning.REFUSED, id="zipped"
        ),
        pytest.param(200, {"Content-Length": "100"}, Meaning.WHOLE, id="the whole"),
        pytest.param(200, {"Content-Encoding": "gzip"}, Meaning.REFUSED, id="the whole, zipped"),
        pytest.param(416, {}, Meaning.CHANGED, id="there is no such range"),
        *(pytest.param(status, {}, Meaning.EXPIRED, id=f"{status}") for status in (400, 401, 403, 404, 410)),
        *(pytest.param(status, {}, Meaning.PASSING, id=f"{status}") for status in (408, 425, 429, 500, 503)),
        *(pytest.param(status, {}, Meaning.REFUSED, id=f"{status}") for status in (204, 304, 405, 451)),
    ],
)
def test_what_an_answer_to_a_request_for_the_rest_means(status: int, headers: dict[str, str], meaning: Meaning) -> None:
    """Only what is certainly the rest is taken for it."""
    assert understood(httpx.Response(status, headers=headers), 40, HAVE).meaning is meaning


@pytest.mark.pure
def test_two_names_are_exchanged_at_once(tmp_path: Path) -> None:
    """A folder and a file, even."""
    (tmp_path / "new").mkdir()
    (tmp_path / "old").write_text("old")
    assert exchanged(tmp_path / "new", tmp_path / "old")
    assert ((tmp_path / "old").is_dir(), (tmp_path / "new").read_text()) == (True, "old")


@pytest.mark.pure
def test_where_names_cannot_be_exchanged_the_old_content_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill between the two renames, at the next attempt."""
    monkeypatch.setattr(sys, "platform", "other")
    new, target, aside = (tmp_path / name for name in ("new", "target", "aside"))
    new.mkdir()
    target.write_text("old")
    target.rename(aside)  # killed here
    put_back(aside, target)
    assert target.read_text() == "old"
    put_in_place(new, target, aside)
    assert (target.is_dir(), aside.read_text(), new.exists()) == (True, "old", False)


KILLED = """
import asyncio, json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pydantic import SecretStr
from tinker_operator.tinker.download import SignedFiles, download, way_to

url, names, target = json.loads(sys.argv[1])
ACTS = {"os.rename", "os.remove", "os.rmdir", "os.truncate", "os.mkdir", "ctypes.call_function", "shutil.rmtree"}

class Source:
    async def urls(self):
        return SignedFiles({name: SecretStr(f"{url}/files/{name}?sig=x&number=1") for name in names})

async def fetch():
    async with way_to(url, lambda: datetime(2026, 1, 1, tzinfo=UTC)) as way:
        await download(Source(), Path(target), way, force=True)

def child(acts):
    def count(event, arguments):
        nonlocal acts
        if event in ACTS or (event == "open" and ".adapter.partial" in str(arguments[0])):
            acts -= 1
            if acts == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    asyncio.run(fetch())
    os._exit(0)

def seen():
    return sorted(f"{path.name}:{path.read_text()[:3]}" for path in Path(target).rglob("*") if path.is_file())

found, killed, ended = set(), 0, False
for acts in range(1, 200):
    Path(target).mkdir(exist_ok=True)
    if (pid := os.fork()) == 0:
        child(acts)
    status = os.waitpid(pid, 0)[1]
    found.add(json.dumps(seen()))
    if status == 0:
        ended = True
        break
    killed += 1
print(json.dumps({"found": sorted(found), "killed": killed, "ended": ended}))
"""


@pytest.mark.http
async def test_a_kill_at_any_act_on_the_disk_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    """And each attempt goes on from what the killed one before left."""
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "old.txt").write_text("old")
    async with FakeStore({"a.bin": Content(200_000), "b/c.bin": Content(300_000, 2)}).serving() as store:
        for content in store.files.values():
            content.read = lambda begin, end: b"n" * (end - begin)  # type: ignore[method-assign]
        argument = json.dumps([store.url, list(store.files), str(target)])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, argument, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
        )
        out, _ = await child.communicate()
    outcome = json.loads(out)
    assert outcome["ended"]
    assert outcome["killed"] > 20
    assert set(outcome["found"]) <= {'["old.txt:old"]', '["a.bin:nnn", "c.bin:nnn"]'}
    assert names_in(tmp_path) == ["adapter"]

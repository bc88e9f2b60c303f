"""Objects on an S3 store: large ones in parts with bounded memory, and the same on moto's server where it is there.

moto cannot be installed beside the operator: it needs an older python-dateutil than the Kubernetes client does. Name
its command in MOTO_SERVER to hold the same laws against it.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.exporter.s3_server import ACCESS_KEY, BUCKET, S3Server

pytestmark = pytest.mark.http
LARGE = 192 * 1024**2
MOST_MEMORY = 96 * 1024**2
SENDING = """
import asyncio, hashlib, json, resource, sys
from pathlib import Path
from tinker_operator.exporter.manifest import Manifest, SentFile, Source
from tinker_operator.exporter.objects import Objects, opened_store

async def main(folder, url, bucket):
    target = Objects(opened_store(bucket, url), bucket, "p")
    paths = sorted(folder.iterdir())
    digests = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in paths]
    sizes = [path.stat().st_size for path in paths]
    facts = zip(paths, sizes, digests, strict=True)
    files = tuple(SentFile(name=path.name, bytes=size, sha256=digest) for path, size, digest in facts)
    manifest = Manifest(source=Source(path="tinker://r/weights/x"), files=files, tool="tests")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = await target.publish(folder, manifest, None, lambda *step: None)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    again = await target.publish(folder, manifest, None, lambda *step: None)
    fewer = Manifest(source=Source(path="tinker://r/weights/y"), files=files[:1], tool="tests")
    await target.publish(folder, fewer, manifest, lambda *step: None)
    read = await target.manifest()
    print(json.dumps({"first": first, "again": again, "grown": grown, "read": read == fewer}))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


def sent(folder: Path, url: str) -> dict[str, int]:
    """Send what is in a folder twice, then all but one again, in a process whose memory is looked at."""
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SENDING, str(folder), url, BUCKET],
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


def large_file(folder: Path) -> Path:
    """A file that takes no room on the disk."""
    with (folder / "z-large.safetensors").open("wb") as file:
        file.truncate(LARGE)
    (folder / "a-small.json").write_text("{}")
    return folder


def test_a_large_file_takes_no_more_memory_than_a_few_parts(tmp_path: Path, s3: tuple[S3Server, str]) -> None:
    """And is known again, and removed when a later export has no such file."""
    server, url = s3
    server.keep_content = False
    large_file(tmp_path)
    told = sent(tmp_path, url)
    assert (told["first"], told["again"]) == (LARGE + 2, 0)
    assert told["grown"] < MOST_MEMORY
    assert sorted(server.objects) == ["p/a-small.json", "p/tinker-export.json"]
    assert told["read"]


@pytest.fixture
def moto() -> Iterator[str]:
    """Serve moto's S3 with the bucket; skips by name where it is not there."""
    command = os.environ.get("MOTO_SERVER")
    if command is None:
        pytest.skip("MOTO_SERVER names no command of moto's server")
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([command, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _made(url)
            yield url
        finally:
            process.kill()


def _made(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.put(f"{url}/{BUCKET}")
        except httpx.TransportError:
            assert time.monotonic() < deadline
        else:
            assert answer.is_success
            return


def test_moto_takes_it_likewise(tmp_path: Path, moto: str) -> None:
    """Parts, checksums, metadata and removal as that server has them."""
    told = sent(large_file(tmp_path), moto)
    assert (told["first"], told["again"], told["read"]) == (LARGE + 2, 0, True)

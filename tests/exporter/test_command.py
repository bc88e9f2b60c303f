"""`tinker-operator export` against servers: what it sends, what it does not send twice, and how it goes on."""

import hashlib
import json
import signal
from pathlib import Path

import pytest
from aiohttp import web
from tests.exporter.exporting import SECRET_KEY, exported, result, started
from tests.exporter.hub_server import TOKEN, HubServer, Repo
from tests.exporter.s3_server import BUCKET, S3Server
from tests.exporter.servers import serving
from tests.tinker.conftest import World

from tinker_operator.exporter import MANIFEST, folder_name

pytestmark = pytest.mark.http
FILES = ["adapter_config.json", "adapter_model.safetensors"]
OURS = ("-o", "json")


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def promised(manifest: dict[str, object]) -> dict[str, str]:
    files = manifest["files"]
    assert isinstance(files, list)
    return {one["name"]: one["sha256"] for one in files}


async def test_a_directory_gets_a_folder_that_is_whole(world: World, tmp_path: Path) -> None:
    """The manifest's digests are those of the files; no place of work is left in use; again, nothing is sent."""
    target = tmp_path / "target"
    told = result(exported(world, str(world.path()), tmp_path, "--to", str(target), *OURS))
    folder = target / folder_name(world.path())
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(found.pop(MANIFEST))
    assert (sorted(found), digests(found)) == (FILES, promised(manifest))
    assert (manifest["source"]["path"], manifest["baseModel"]) == (str(world.path()), "Qwen/Qwen3-8B")
    assert told["sentBytes"] == sum(len(content) for content in found.values())
    before = world.simulator.calls("POST /api/v1/create_session")
    again = result(exported(world, str(world.path()), tmp_path, "--to", str(target), *OURS))
    assert (again["sentBytes"], again["manifest"]) == (0, manifest)
    assert world.simulator.calls("POST /api/v1/create_session") == before
    assert [path.name for path in (target / ".tinker-export").iterdir()] == [f"{folder.name}.lock"]


async def test_a_folder_that_is_no_export_is_left_alone(world: World, tmp_path: Path) -> None:
    """One line with the remedy, status one."""
    folder = tmp_path / "target" / folder_name(world.path())
    folder.mkdir(parents=True)
    (folder / "mine").touch()
    done = exported(world, str(world.path()), tmp_path, "--to", str(tmp_path / "target"))
    assert (done.returncode, [path.name for path in folder.iterdir()]) == (1, ["mine"])
    assert "is no export" in done.stderr


async def test_a_bucket_gets_files_manifest_last_and_nothing_twice(
    world: World, tmp_path: Path, s3: tuple[S3Server, str]
) -> None:
    """Each object carries its digest."""
    server, url = s3
    to = ("--to", f"s3://{BUCKET}/team/math", "--endpoint-url", url, *OURS)
    told = result(exported(world, str(world.path()), tmp_path, *to))
    prefix = f"team/math/{folder_name(world.path())}/"
    found = {key.removeprefix(prefix): it for key, it in server.objects.items()}
    assert sorted(found) == sorted([*FILES, MANIFEST])
    assert {name: it.meta["sha256"] for name, it in found.items() if name != MANIFEST} == promised(told["manifest"])
    assert digests({name: found[name].content for name in FILES}) == promised(told["manifest"])
    assert server.puts[-1] == prefix + MANIFEST
    written = len(server.puts)
    assert result(exported(world, str(world.path()), tmp_path, *to))["sentBytes"] == 0
    assert len(server.puts) == written


async def test_killed_in_the_midst_it_sends_only_what_is_missing(
    world: World, tmp_path: Path, s3: tuple[S3Server, str]
) -> None:
    """The download is not made again, and the file that had arrived is not sent again."""
    server, url = s3
    to = ("--to", f"s3://{BUCKET}/p", "--endpoint-url", url, *OURS)
    prefix = f"p/{folder_name(world.path())}/"
    server.stuck_at = prefix + FILES[1]
    with started(world, str(world.path()), tmp_path, *to) as process:
        try:
            assert server.stuck.wait(60)
        finally:
            process.kill()
    assert sorted(server.objects) == [prefix + FILES[0]]
    sessions = world.simulator.calls("POST /api/v1/create_session")
    server.stuck_at, server.puts[:] = None, []
    told = result(exported(world, str(world.path()), tmp_path, *to))
    assert sorted(set(server.puts)) == [prefix + FILES[1], prefix + MANIFEST]
    assert told["sentBytes"] == server.objects[prefix + FILES[1]].size
    assert world.simulator.calls("POST /api/v1/create_session") == sessions


async def test_told_to_end_it_ends_and_says_so(world: World, tmp_path: Path, s3: tuple[S3Server, str]) -> None:
    """Within ten seconds, though the store never answers."""
    server, url = s3
    server.stuck_at = f"p/{folder_name(world.path())}/{FILES[0]}"
    with started(world, str(world.path()), tmp_path, "--to", f"s3://{BUCKET}/p", "--endpoint-url", url) as process:
        try:
            assert server.stuck.wait(60)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, said.splitlines()[-1]) == (1, "tinker-operator: interrupted.")


async def test_a_checkpoint_saved_anew_replaces_the_export(
    world: World, tmp_path: Path, s3: tuple[S3Server, str]
) -> None:
    """The same path at another time is another checkpoint."""
    _, url = s3
    to = ("--to", f"s3://{BUCKET}/p", "--endpoint-url", url, *OURS)
    first = result(exported(world, str(world.path()), tmp_path, *to))
    await world.done("save_weights", path="step-2", seq_id=4, overwrite=True)
    second = result(exported(world, str(world.path()), tmp_path, *to))
    assert second["manifest"]["source"]["time"] != first["manifest"]["source"]["time"]


async def test_the_hub_gets_one_commit_in_a_private_repository(
    world: World, tmp_path: Path, hub: tuple[HubServer, str]
) -> None:
    """Files, manifest and card; again, nothing is sent."""
    server, url = hub
    to = ("--to", "hub://team/math", "--endpoint-url", url, *OURS)
    told = result(exported(world, str(world.path()), tmp_path, *to))
    repo = server.repos["team/math"]
    files = repo.branches["main"]
    assert (repo.private, len(repo.commits)) == (True, 1)
    assert sorted(files) == sorted([*FILES, MANIFEST, "README.md"])
    assert digests({name: files[name] for name in FILES}) == promised(told["manifest"])
    assert all(word in files["README.md"].decode() for word in ('base_model: "Qwen/Qwen3-8B"', "library_name: peft"))
    again = result(exported(world, str(world.path()), tmp_path, *to))
    assert (again["sentBytes"], len(repo.commits), len(server.uploads)) == (0, 1, 1)


async def test_a_commit_that_was_killed_goes_on_without_the_large_file(
    world: World, tmp_path: Path, hub: tuple[HubServer, str]
) -> None:
    """The Hub knows it by its digest; a branch of its own is made for it."""
    server, url = hub
    to = ("--to", "hub://team/math/best", "--endpoint-url", url, "--revision", "trial", *OURS)
    server.commits_hang = True
    with started(world, str(world.path()), tmp_path, *to) as process:
        try:
            assert server.stuck.wait(60)
        finally:
            process.kill()
    assert server.repos["team/math"].branches["trial"] == {}
    server.commits_hang = False
    result(exported(world, str(world.path()), tmp_path, *to))
    files = server.repos["team/math"].branches["trial"]
    assert sorted(files) == sorted(f"best/{name}" for name in [*FILES, MANIFEST, "README.md"])
    assert (len(server.uploads), server.repos["team/math"].branches["main"]) == (1, {})


async def test_a_commit_that_another_overtook_is_made_again(
    world: World, tmp_path: Path, hub: tuple[HubServer, str]
) -> None:
    """Several exports to one repository at the same time all arrive; nothing large is sent twice."""
    server, url = hub
    server.overtaken = 1
    to = ("--to", "hub://team/math", "--endpoint-url", url, *OURS)
    result(exported(world, str(world.path()), tmp_path, *to))
    assert (server.overtaken, len(server.repos["team/math"].commits), len(server.uploads)) == (0, 1, 1)


@pytest.mark.parametrize(
    ("options", "status"),
    [pytest.param((), 1, id="unasked"), pytest.param(("--public",), 0, id="asked for")],
)
async def test_a_repository_that_is_open_is_written_only_when_told_so(
    options: tuple[str, ...], status: int, world: World, tmp_path: Path, hub: tuple[HubServer, str]
) -> None:
    """What is private must not become public by a slip; a card that a person wrote stays."""
    server, url = hub
    server.repos["team/open"] = Repo(private=False, branches={"main": {"README.md": b"mine"}})
    done = exported(world, str(world.path()), tmp_path, "--to", "hub://team/open", "--endpoint-url", url, *options)
    files = server.repos["team/open"].branches["main"]
    assert (done.returncode, files["README.md"], MANIFEST in files) == (status, b"mine", status == 0)
    assert ("open to everybody" in done.stderr, server.uploads != []) == (status == 1, status == 0)


@pytest.mark.parametrize("place", ["s3://models/p", "s3://other/p", "hub://team/math"])
async def test_what_is_refused_is_one_line_that_shows_no_key(
    place: str, world: World, tmp_path: Path, s3: tuple[S3Server, str], hub: tuple[HubServer, str]
) -> None:
    """Whatever the reason; nothing was written."""
    url = s3[1] if place.startswith("s3") else hub[1]
    wrong = {} if "other" in place else {"AWS_ACCESS_KEY_ID": "AKIAWRONG", "HF_TOKEN": "hf_wrong"}
    done = exported(world, str(world.path()), tmp_path, "--to", place, "--endpoint-url", url, **wrong)
    told = done.stderr.splitlines()[-1]
    assert (done.returncode, done.stdout) == (1, "")
    assert place in told
    assert "refuses" in told or "no such bucket" in told
    assert not any(secret in done.stderr for secret in (SECRET_KEY, TOKEN, "hf_wrong", "AKIAWRONG", "signature"))
    assert "Traceback" not in done.stderr
    assert s3[0].objects == {}


async def test_a_checkpoint_that_is_not_listed_is_not_exported(world: World, tmp_path: Path) -> None:
    done = exported(world, str(world.path("nothing")), tmp_path, "--to", str(tmp_path / "target"))
    assert (done.returncode, "does not list" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("--to", "gs://x/y"), "--to", id="another kind of place"),
        pytest.param(("--to", "hub://alone"), "hub://<owner>/<name>", id="a repository without an owner"),
        pytest.param(("--to", "s3://UPPER/x"), "s3://<bucket>", id="no bucket"),
        pytest.param(("--to", "s3://models/../x"), "s3://<bucket>", id="a prefix that climbs"),
        pytest.param(("--to", "s3://models", "--endpoint-url", "ftp://x"), "--endpoint-url", id="no endpoint"),
        pytest.param(("--to", "x", "--format", "ONNX"), "ONNX", id="another form"),
        pytest.param((), "--to", id="no place"),
    ],
)
async def test_a_wrong_setting_is_one_line_and_status_two(
    arguments: tuple[str, ...], named: str, world: World, tmp_path: Path
) -> None:
    """Nothing is asked."""
    done = exported(world, str(world.path()), tmp_path, *arguments)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
    assert named in done.stderr


async def test_files_of_somebody_else_on_the_hub_are_left_alone(
    world: World, tmp_path: Path, hub: tuple[HubServer, str]
) -> None:
    """A repository that holds an adapter and no manifest: nothing is sent, status one."""
    server, url = hub
    mine = {"adapter_model.safetensors": b"mine", "README.md": b"---\nbase_model: x\n---\n"}
    server.repos["team/math"] = Repo(True, {"main": dict(mine)})
    done = exported(world, str(world.path()), tmp_path, "--to", "hub://team/math", "--endpoint-url", url)

    assert done.returncode == 1
    assert server.repos["team/math"].branches["main"] == mine


async def test_an_upload_that_is_tried_again_shows_no_signed_address(world: World, tmp_path: Path) -> None:
    """The library would write it to stderr, and so into the log of a Pod."""

    class Flaky(HubServer):
        failures = 1

        async def _upload(self, request: web.Request) -> web.Response:
            if self.failures:
                self.failures -= 1
                await request.read()
                return web.Response(status=503)
            return await super()._upload(request)

    server = Flaky()
    with serving(server.app()) as url:
        done = exported(world, str(world.path()), tmp_path, "--to", "hub://team/math", "--endpoint-url", url)

    assert (done.returncode, server.failures) == (0, 0), done.stderr
    assert "signature=" not in done.stdout + done.stderr

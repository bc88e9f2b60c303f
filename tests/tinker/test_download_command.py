"""`tinker-operator download` against the simulator: what it writes, says, and leaves at the service."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tinker.conftest import Simulator, World
from tests.tinker.download_store import names_in

from tinker_operator.tinker.download import inspect_export

pytestmark = pytest.mark.http
FILES = ["adapter_config.json", "adapter_model.safetensors"]
KEY = "tml-key-of-the-command"


def command(*arguments: str, key: str = KEY, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tinker_operator.cli", "download", *arguments],
        env={**os.environ, "TINKER_API_KEY": key, "TINKER_BASE_URL": "", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fetched(world: World, path: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    url = ("--base-url", world.simulator.url)
    return command(path, "--output", str(folder), *url, *options, key=world.simulator.key)


async def test_a_training_checkpoint_becomes_the_files_of_an_adapter(world: World, tmp_path: Path) -> None:
    """Sound, of the right rank and model; and no export stays at the service."""
    done = fetched(world, str(world.path()), tmp_path, "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    folder = tmp_path / f"{world.run_id}_weights_step-2"
    assert (told["folder"], names_in(folder), names_in(tmp_path)) == (str(folder), FILES, [folder.name])
    assert [file["name"] for file in told["files"]] == FILES
    assert told["bytes"] == sum((folder / name).stat().st_size for name in FILES)
    found = inspect_export(folder, expected_rank=4, expected_base_model="Qwen/Qwen3-8B")
    assert (found.findings, found.tensors > 0) == ((), True)
    async with world.simulator.connect() as client:
        runs = await client.training_runs()
        strays = [run for run in runs if run.user_metadata.get("created_by") == "tinker-operator download"]
        assert len(strays) == 1
        assert await client.checkpoints(strays[0].training_run_id) == ()


async def test_an_export_is_fetched_as_it_is_and_stays(world: World, tmp_path: Path) -> None:
    """No run is made for it; the text names folder, files, sizes and digests."""
    await world.done("save_weights_external", path="mine", seq_id=4)
    path = world.path("mine", "external_weights")
    done = fetched(world, str(path), tmp_path)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/{world.run_id}_external_weights_mine: 2 files, ")
    assert [line.split()[-1] for line in rest] == FILES
    assert all(len(line.split()[0]) == 64 for line in rest)
    async with world.simulator.connect() as client:
        assert len(await client.training_runs()) == 1
        listed = await client.checkpoints(world.run_id)
        assert str(path) in [checkpoint.tinker_path for checkpoint in listed]


async def test_what_is_there_is_replaced_only_when_told_so(world: World, tmp_path: Path) -> None:
    """One line, status one; and with --force it is new."""
    await world.done("save_weights_external", path="mine", seq_id=4)
    path = str(world.path("mine", "external_weights"))
    target = tmp_path / f"{world.run_id}_external_weights_mine"
    target.mkdir()
    (target / "old").touch()
    refused = fetched(world, path, tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines()), names_in(target)) == (1, 1, ["old"])
    assert "--force" in refused.stderr
    assert fetched(world, path, tmp_path, "--force").returncode == 0
    assert names_in(target) == FILES


async def test_a_checkpoint_that_is_not_there_is_one_line_and_status_one(world: World, tmp_path: Path) -> None:
    """And nothing is left behind but a place to go on from."""
    done = fetched(world, str(world.path("nothing")), tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Traceback" not in done.stderr
    assert f"{world.run_id}_weights_nothing" not in names_in(tmp_path)


async def test_on_a_terminal_bars_are_shown_and_the_result_stays_apart(world: World, tmp_path: Path) -> None:
    """The result can be piped on while a person looks at the progress."""
    await world.done("save_weights_external", path="mine", seq_id=4)
    main, other = pty.openpty()
    path = str(world.path("mine", "external_weights"))
    arguments = [path, "--output", str(tmp_path), "--base-url", world.simulator.url, "-o", "json"]
    done = subprocess.run(  # noqa: ASYNC221 - nothing else is to go on meanwhile
        [sys.executable, "-m", "tinker_operator.cli", "download", *arguments],
        env={**os.environ, "TINKER_API_KEY": world.simulator.key, "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=other,
        timeout=60,
        check=False,
    )
    os.close(other)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        shown += piece
    os.close(main)
    assert done.returncode == 0
    assert [file["name"] for file in json.loads(done.stdout)["files"]] == FILES
    assert b"adapter_model.safetensors" in shown


@pytest.mark.parametrize(
    ("arguments", "key", "named"),
    [
        pytest.param(("tinker://r/weights",), KEY, "three", id="a path of two parts"),
        pytest.param(("tinker://r/sampler_weights/x",), KEY, "sampler_weights", id="a checkpoint for sampling"),
        pytest.param(("tinker://r/weights/x",), "", "TINKER_API_KEY", id="no key"),
        pytest.param(("tinker://r/weights/x",), "password", "TINKER_API_KEY", id="what is no key"),
        pytest.param(("tinker://r/weights/x", "--base-url", "ftp://x"), KEY, "--base-url", id="no base URL"),
        pytest.param((), KEY, "TINKER_PATH", id="no path"),
        pytest.param(("tinker://r/weights/x", "-o", "xml"), KEY, "xml", id="another form"),
    ],
)
def test_a_wrong_setting_is_one_line_and_status_two(
    arguments: tuple[str, ...], key: str, named: str, tmp_path: Path
) -> None:
    """Nothing is asked, nothing is made."""
    done = command(*arguments, *(("--output", str(tmp_path)) if arguments else ()), key=key)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
    assert named in done.stderr
    assert "password" not in done.stderr
    assert names_in(tmp_path) == []


def test_a_key_that_the_service_refuses_is_one_line_that_does_not_show_it(simulator: Simulator, tmp_path: Path) -> None:
    """Status one: the setting is well formed."""
    path = "tinker://r/external_weights/x"
    done = command(path, "--output", str(tmp_path), "--base-url", simulator.url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "API key" in done.stderr
    assert KEY not in done.stderr


def test_told_to_end_it_ends_and_says_so(tmp_path: Path) -> None:
    """Within ten seconds, though the service never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        arguments = ["tinker://r/weights/x", "--output", str(tmp_path), "--base-url", url]
        with subprocess.Popen(
            [sys.executable, "-m", "tinker_operator.cli", "download", *arguments],
            env={**os.environ, "TINKER_API_KEY": KEY},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                connection, _ = silent.accept()
                with connection:
                    connection.settimeout(30)
                    assert connection.recv(1)
                    process.send_signal(signal.SIGTERM)
                    _, said = process.communicate(timeout=10)
            finally:
                process.kill()
    assert (process.returncode, said) == (1, "tinker-operator: interrupted.\n")

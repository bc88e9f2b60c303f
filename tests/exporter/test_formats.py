"""`tinker-operator export --format`: the same promises in each form, and nothing of one form takes another's place."""

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from safetensors.numpy import load_file
from tests.exporter.exporting import exported, result, started
from tests.exporter.hub_server import HubServer
from tests.exporter.s3_server import BUCKET, S3Server
from tests.tinker.conftest import Simulator, World

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter import MANIFEST, folder_name

pytestmark = pytest.mark.http
GGUF = ("--format", "GGUF", "-o", "json")
FILES = ["adapter_config.json", "adapter_model.gguf"]
MATRICES = {
    "lm_head": "output",
    "model.layers.0.self_attn.o_proj": "blk.0.attn_output",
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sessions(world: World) -> int:
    return world.simulator.calls("POST /api/v1/create_session")


async def test_llama_cpps_form_has_the_values_of_the_other(world: World, tmp_path: Path) -> None:
    """Each form in a folder of its own, beside the other; again, nothing is sent or downloaded."""
    target = tmp_path / "target"
    to = (str(world.path()), tmp_path, "--to", str(target))
    result(exported(world, *to, "-o", "json"))
    told = result(exported(world, *to, *GGUF))

    plain, other = target / folder_name(world.path()), target / folder_name(world.path(), ExportFormat.GGUF)
    assert (names(plain)[1:2], names(other)) == (["adapter_model.safetensors"], [*FILES, MANIFEST])
    assert told["manifest"]["format"] == "GGUF"
    source = load_file(plain / "adapter_model.safetensors")
    found = {it.name: it.data for it in GGUFReader(other / FILES[1]).tensors}
    wanted = {
        f"{name}.weight.lora_{side.lower()}": source[f"base_model.model.{module}.lora_{side}.weight"]
        for module, name in MATRICES.items()
        for side in "AB"
    }
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], values) for name, values in wanted.items())
    before = sessions(world)
    assert (result(exported(world, *to, *GGUF))["sentBytes"], sessions(world)) == (0, before)


async def test_killed_while_it_sends_it_goes_on_without_a_new_download(
    world: World, tmp_path: Path, s3: tuple[S3Server, str]
) -> None:
    """What was converted is kept, and what was sent is not sent again."""
    server, url = s3
    to = ("--to", f"s3://{BUCKET}/p", "--endpoint-url", url, *GGUF)
    prefix = f"p/{folder_name(world.path(), ExportFormat.GGUF)}/"
    server.stuck_at = prefix + FILES[1]
    with started(world, str(world.path()), tmp_path, *to) as process:
        try:
            assert server.stuck.wait(60)
        finally:
            process.kill()
    before = sessions(world)
    server.stuck_at, server.puts[:] = None, []
    told = result(exported(world, str(world.path()), tmp_path, *to))

    assert sorted(set(server.puts)) == [prefix + FILES[1], prefix + MANIFEST]
    assert (told["sentBytes"], sessions(world)) == (server.objects[prefix + FILES[1]].size, before)


@pytest.mark.parametrize("left", ["a whole download", "half a conversion", "a conversion without its note"])
async def test_killed_while_it_converts_it_converts_again(left: str, world: World, tmp_path: Path) -> None:
    """Whatever of it had been written; the download is not made again, and nothing foreign is sent."""
    target, key = tmp_path / "target", folder_name(world.path(), ExportFormat.GGUF)
    to = (str(world.path()), tmp_path, "--to", str(target))
    result(exported(world, *to, "-o", "json"))
    work, plain = target / ".tinker-export", target / folder_name(world.path())
    document = json.loads((plain / MANIFEST).read_text())
    plain.rename(work / key)
    (work / key / MANIFEST).unlink()
    (work / f"{key}.json").write_text(json.dumps(document))
    if left != "a whole download":
        name = f".{FILES[1]}.new" if left == "half a conversion" else FILES[1]
        (work / key / name).write_bytes(b"GGUF")
    before = sessions(world)
    result(exported(world, *to, *GGUF))

    assert (names(target / key), sessions(world)) == ([*FILES, MANIFEST], before)
    assert len(GGUFReader(target / key / FILES[1]).tensors) == 2 * len(MATRICES)


async def test_the_hub_files_it_under_its_own_library(world: World, tmp_path: Path, hub: tuple[HubServer, str]) -> None:
    server, url = hub
    to = ("--to", "hub://team/math", "--apart", "--endpoint-url", url, *GGUF)
    result(exported(world, str(world.path()), tmp_path, *to))
    files = server.repos["team/math"].branches["main"]
    folder = folder_name(world.path(), ExportFormat.GGUF)
    assert sorted(files) == sorted(f"{folder}/{name}" for name in [*FILES, MANIFEST, "README.md"])
    assert b"library_name: gguf" in files[f"{folder}/README.md"]


@pytest.mark.parametrize(("form", "library"), [("PyTorch", "torch"), ("GGUF", "gguf")])
async def test_without_the_library_it_says_what_to_install(
    form: str, library: str, world: World, tmp_path: Path
) -> None:
    """One line, status one, and nothing was downloaded."""
    missing = tmp_path / "missing" / library
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ImportError")
    before = sessions(world)
    done = exported(
        world,
        str(world.path()),
        tmp_path,
        "--to",
        str(tmp_path / "x"),
        "--format",
        form,
        PYTHONPATH=str(missing.parent),
    )
    assert (done.returncode, done.stdout, sessions(world)) == (1, "", before)
    assert f"pip install 'tinker-operator[{library.replace('torch', 'pytorch')}]'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


async def test_an_adapter_that_it_cannot_hold_is_one_line(simulator: Simulator, tmp_path: Path) -> None:
    """Status one; no folder appears."""
    world = await World(simulator, "openai/gpt-oss-20b").make()
    done = exported(world, str(world.path()), tmp_path, "--to", str(tmp_path / "x"), *GGUF)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'openai/gpt-oss-20b'" in done.stderr.splitlines()[-1]
    assert names(tmp_path / "x") == [".tinker-export"]

"""Images are made of what is installed here, bear no trace of when or where, and are made once."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import tarfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from playground.children import wait_until
from playground.errors import ComponentFailed
from playground.node import distributions
from playground.node.archive import USER, Defaults, Image, Layer, write_layer
from playground.node.images import ImageBuilder
from playground.node.pause import pause_program
from playground.settings import this_platform

pytestmark = pytest.mark.http


def tree(root: Path) -> Path:
    """A small file system."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "program").write_text("#!/bin/sh\n")
    (root / "bin" / "program").chmod(0o700)
    (root / "bin" / "other").symlink_to("program")
    (root / "home").mkdir()
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "secret").write_text("for all to read")
    (root / "secret").chmod(0o600)
    return root


def image(layer: Layer) -> Image:
    return Image("a:1", "amd64", (layer,), Defaults(("/bin/program",), {"A": "b"}))


def test_a_layer_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    """Dates, owners and modes of the machine do not show; what its owner may run, everybody may."""
    first = write_layer(tree(tmp_path / "a"), tmp_path / "a.tar", ("home",))
    second = write_layer(tree(tmp_path / "b"), tmp_path / "b.tar", ("home",))

    assert first.digest == second.digest
    with tarfile.open(first.path) as tar:
        modes = {member.name: (member.mode, member.uid) for member in tar}
    assert modes["bin/program"] == (0o755, 0)
    assert modes["secret"] == (0o644, 0)
    assert modes["tmp"] == (0o1777, 0)
    assert modes["home"] == (0o755, USER)


def test_an_archive_names_what_it_holds(tmp_path: Path) -> None:
    """Its index leads to a description and layers that are there, and whose hashes are right; no user is root."""
    layer = write_layer(tree(tmp_path / "a"), tmp_path / "a.tar")
    stream = io.BytesIO()

    image(layer).write(stream)

    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        contents = {name: file.read() for name, file in files.items() if file}
    (index,) = json.loads(contents["manifest.json"])
    description = json.loads(contents[index["Config"]])
    assert index["RepoTags"] == ["docker.io/library/a:1"]
    assert index["Config"] == f"{image(layer).identity}.json"
    assert contents[index["Layers"][0]] == layer.path.read_bytes()
    assert description["rootfs"]["diff_ids"] == [f"sha256:{layer.digest}"]
    assert description["config"]["User"] == f"{USER}:{USER}"


def test_an_image_with_other_contents_has_another_identity(tmp_path: Path) -> None:
    """One byte is enough."""
    first = write_layer(tree(tmp_path / "a"), tmp_path / "a.tar")
    (tree(tmp_path / "b") / "secret").write_text("for all to reaD")

    second = write_layer(tmp_path / "b", tmp_path / "b.tar")

    assert image(first).identity != image(second).identity


def test_the_interpreter_is_packed_once_and_alike(tmp_path: Path) -> None:
    """Asked again, the layer is found, not made; made elsewhere, it is the same to the byte."""
    first = ImageBuilder(tmp_path).python()
    written = first.layers[0].path.stat().st_mtime_ns
    second = ImageBuilder(tmp_path).python()
    elsewhere = ImageBuilder(tmp_path / "elsewhere").python()

    assert (first.identity, written) == (second.identity, second.layers[0].path.stat().st_mtime_ns)
    assert elsewhere.identity == first.identity
    with tarfile.open(first.layers[0].path) as tar:
        names = set(tar.getnames())
    assert {"app/bin/python", "app/pyvenv.cfg", "etc/passwd", "tmp"} <= names
    assert any(name.endswith("/os.py") for name in names)
    assert any("/os.cpython-" in name for name in names), "every start would compile the library again"
    assert not any("site-packages/" in name for name in names)


def test_what_an_extra_needs_is_found_and_nothing_else() -> None:
    """The operator needs no SDK; the trainer needs it, with all that it needs itself."""
    operator = {each.name for each in distributions.needed(["tinker-operator"])}
    trainer = {each.name for each in distributions.needed(["tinker-operator[trainer]"])}

    assert {"kopf", "kubernetes", "httpx", "pydantic_core"} <= operator
    assert {"tinker", "numpy"} <= trainer - operator
    assert not {"pytest", "mypy", "ruff", "psutil"} & operator
    assert "pytest" not in trainer


def test_a_package_that_is_missing_is_named() -> None:
    """With the way to install it."""
    with pytest.raises(ComponentFailed) as refused:
        distributions.needed(["no-such-package>=2"])

    assert "no-such-package is not installed" in refused.value.message
    assert "pip install 'no-such-package>=2'" in refused.value.remedy


def test_packages_are_copied_with_their_commands(tmp_path: Path) -> None:
    """A distribution that brings a command has it on the path of the image, run by the image's Python."""
    distributions.stage([distribution("click"), distribution("PyYAML"), distribution("kopf")], tmp_path)

    (site,) = (tmp_path / "app" / "lib").glob("python3.*/site-packages")
    assert (site / "click" / "__init__.py").exists()
    assert list((site / "yaml").glob("*.so"))
    assert not list(tmp_path.rglob("__pycache__"))
    script = (tmp_path / "app" / "bin" / "kopf").read_text()
    assert script.startswith("#!/app/bin/python\n")


def test_the_wheel_of_a_checkout_changes_with_its_sources(tmp_path: Path) -> None:
    """Another byte in the sources is another layer; what Python leaves beside them is not."""
    (tmp_path / "operator" / "__pycache__").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "operator" / "a.py").write_text("a = 1")
    before = distributions.source_key(tmp_path)

    (tmp_path / "operator" / "__pycache__" / "a.pyc").write_bytes(b"x")
    beside = distributions.source_key(tmp_path)
    (tmp_path / "operator" / "a.py").write_text("a = 2")

    assert before == beside != distributions.source_key(tmp_path)


def test_the_pause_program_sleeps_until_it_is_killed(tmp_path: Path) -> None:
    """It needs no library, takes no time of the processor, and ends when told to."""
    program = tmp_path / "pause"
    program.write_bytes(pause_program(this_platform().rpartition("-")[2]))
    program.chmod(0o755)

    running = subprocess.Popen([program])
    state = Path(f"/proc/{running.pid}/stat")

    assert wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "S", 10)
    assert running.poll() is None
    running.terminate()
    assert running.wait(10) == -15


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_the_pause_program_is_of_its_architecture(architecture: str, machine: int) -> None:
    """The header says which machine it is for, and that all of it is loaded."""
    program = pause_program(architecture)

    assert program[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", program, 18) == (machine,)
    assert struct.unpack_from("<Q", program, 64 + 32) == (len(program),)

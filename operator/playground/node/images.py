"""Images for the node, built here without an engine and without a registry, the same bytes from the same contents.

    the interpreter that runs here │ the packages it has installed │ the project's wheel ──> one archive

`tinker-playground up --node`, the demonstration and the tests build them, and `playground.node.Node.load` gives them to
containerd. Two are named here, `operator_image` and `trainer_image`; `ImageBuilder` builds others.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import Distribution
from pathlib import Path

import filelock

from playground.errors import ComponentFailed
from playground.node import distributions, interpreter
from playground.node.archive import Defaults, Image, Layer, write_layer
from playground.node.files import PAUSE_IMAGE
from playground.node.pause import pause_program
from playground.progress import Reporter, Silence
from playground.settings import this_platform

PYTHON_IMAGE = "tinker-playground-python:dev"
OPERATOR_IMAGE = "tinker-operator:dev"
TRAINER_IMAGE = "tinker-operator-trainer:dev"
_FORMAT = "2"  # of what this package writes: another number leaves everything cached aside
_KEY_LENGTH = 20
_KEPT = 4
_COMPILE = ("-q", "-j0", "--invalidation-mode=unchecked-hash")


def operator_image(cache: Path, reporter: Reporter | None = None) -> Image:
    """The image with the command `tinker-operator`.

    Args:
        cache: Folder that keeps images.
        reporter: Told while it is built.
    """
    builder = ImageBuilder(cache, reporter)
    return builder.project(OPERATOR_IMAGE, command=("tinker-operator", "run"))


def trainer_image(cache: Path, reporter: Reporter | None = None) -> Image:
    """The image that training loops run in: the official SDK, and `tinker_operator.trainer`.

    Args:
        cache: Folder that keeps images.
        reporter: Told while it is built.
    """
    return ImageBuilder(cache, reporter).project(TRAINER_IMAGE, extras=("trainer",))


def pause_image(folder: Path) -> Image:
    """The image of the program that holds the namespaces of a Pod.

    Args:
        folder: Where its layer goes.
    """
    architecture, staged = _architecture(), folder / "pause"
    staged.mkdir()
    (staged / "pause").write_bytes(pause_program(architecture))
    (staged / "pause").chmod(0o755)
    return Image(PAUSE_IMAGE, architecture, (write_layer(staged, folder / "pause.tar"),), Defaults(("/pause",)))


class ImageBuilder:
    """Builds images, and keeps their layers under a hash of all that they are made of.

    Args:
        cache: Folder that keeps binaries and images; made if need be.
        reporter: Told while one is built.
    """

    def __init__(self, cache: Path, reporter: Reporter | None = None) -> None:
        self._folder, self._reporter = cache / "images", reporter or Silence()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self._folder / "lock")

    def python(self, name: str = PYTHON_IMAGE) -> Image:
        """An image with the interpreter alone."""
        with self._lock:
            return _image(name, [self._interpreter()], ("python",))

    def project(self, name: str, *, extras: Sequence[str] = (), command: Sequence[str] = ("python",)) -> Image:
        """An image with the project and what it needs.

        Args:
            name: With its tag.
            extras: Of the project, such as `trainer`.
            command: What runs when the Pod names none.

        Raises:
            ComponentFailed: A package that is needed is not installed here, or the project's wheel cannot be built.
        """
        wanted = f"{distributions.PROJECT}[{','.join(extras)}]"
        found = distributions.needed([wanted])
        project = next(each for each in found if each.name == distributions.PROJECT)
        checkout = distributions.editable_source(project)
        packages = found if checkout is None else tuple(each for each in found if each is not project)
        with self._lock:
            layers = [self._interpreter(), self._packages(packages)]
            layers += [] if checkout is None else [self._checkout(checkout)]
            return _image(name, layers, command)

    def _interpreter(self) -> Layer:
        return self._layer("python", interpreter.interpreter_key(), interpreter.stage_interpreter)

    def _packages(self, which: Sequence[Distribution]) -> Layer:
        return self._layer("packages", distributions.key(which), lambda root: distributions.stage(which, root))

    def _checkout(self, checkout: Path) -> Layer:
        content = distributions.source_key(checkout)
        return self._layer("project", content, lambda root: distributions.stage_checkout(checkout, root))

    def _layer(self, kind: str, content: str, stage: Callable[[Path], None]) -> Layer:
        key = _key(kind, content, sys.version)
        path = self._folder / f"{kind}-{key}.tar"
        if not path.exists():
            staged = self._folder / ".staged"
            shutil.rmtree(staged, ignore_errors=True)  # of a process that was killed
            staged.mkdir()
            with self._reporter.step(f"Packing {kind} for images") as step:
                stage(staged)
                step.advance(0)
                _compile(staged)
                write_layer(staged, path.with_suffix(".part"), (interpreter.HOME[1:],)).path.replace(path)
            shutil.rmtree(staged)
            self._prune(kind)
        return Layer.of(path)

    def _prune(self, kind: str) -> None:
        """Remove the oldest layers of a kind: every change of the project makes another one."""
        layers = sorted(self._folder.glob(f"{kind}-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in layers[_KEPT:]:
            path.unlink()


def _image(name: str, layers: Sequence[Layer], command: Sequence[str]) -> Image:
    defaults = Defaults(tuple(command), interpreter.environ(), interpreter.HOME)
    return Image(name, _architecture(), tuple(layers), defaults)


def _compile(root: Path) -> None:
    """Compile every module, since the image's user may not write; hashes instead of dates, and one order of sets."""
    command: list[str | Path] = [sys.executable, "-m", "compileall", *_COMPILE, "-s", root, "-p", "/", root]
    environ = os.environ | {"PYTHONHASHSEED": "0"}
    # Some packages carry templates that are no modules: what does not compile is left as it is.
    subprocess.run(command, env=environ, check=False, capture_output=True)  # noqa: S603 -- this interpreter


def _architecture() -> str:
    architecture = this_platform().rpartition("-")[2]
    if architecture not in {"amd64", "arm64"}:
        raise ComponentFailed(f"There are no images for {architecture}.", "Use amd64 or arm64.")
    return architecture


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join((_FORMAT, *parts)).encode()).hexdigest()[:_KEY_LENGTH]

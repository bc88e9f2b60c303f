"""Builds the control plane from Go modules, for a machine that cannot reach the published binaries.

One binary is etcd, kube-apiserver, kube-controller-manager and kubectl, by the name it is called; go.sum ships with it,
so every module is verified. `playground.binaries` asks it last, and `playground.node.programs` for those of a node.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from playground.errors import SourceUnavailable
from playground.progress import Reporter
from playground.settings import BINARIES, Settings
from playground.toolchain import Toolchain, find_toolchain
from playground.watched import run_watched

_SOURCES = ("main.go", "go.mod", "go.sum")
_REMEDY = "Set KUBEBUILDER_ASSETS to a folder with the binaries, or let this machine reach them or the Go modules."


@dataclass(frozen=True, slots=True)
class Product:
    """What one build makes: a binary, and the names it is called by.

    Attributes:
        binary: Name of its file.
        names: Links to it.
        title: What it is, for the person who waits.
        takes: How long it takes, for the same person.
    """

    binary: str
    names: tuple[str, ...]
    title: str
    takes: str


CONTROL_PLANE = Product("controlplane", BINARIES, "the control plane", "about 11 minutes on two cores, once")


def source_folder() -> Path:
    """The folder of the Go sources that ship with this package."""
    return Path(str(resources.files("playground") / "controlplane_src"))


def build_key(settings: Settings, sources: Path) -> str:
    """Name the folder of a build in the cache: by version, platform and a hash of sources and linker flags."""
    digest = hashlib.sha256(_linker_flags(settings).encode())
    for name in _SOURCES:
        digest.update((sources / name).read_bytes())
    return f"built-v{settings.version}-{settings.platform}-{digest.hexdigest()[:16]}"


def build(
    settings: Settings, reporter: Reporter, sources: Path, target: Path, product: Product = CONTROL_PLANE
) -> None:
    """Build the binary from `sources` into the empty folder `target` and link it under its names.

    Raises:
        SourceUnavailable: No Go, too little disk, or the build failed; the message names the log.
    """
    _check_disk(settings)
    toolchain = find_toolchain(settings, reporter, sources / "go.mod")
    reporter.say(f"Building {product.title} of Kubernetes {settings.version} with {toolchain.origin}: {product.takes}.")
    binary = target / product.binary
    Build(settings, reporter, toolchain, sources, product.title).run(binary)
    for name in product.names:
        (target / name).symlink_to(binary.name)
    if toolchain.scratch is not None and not settings.with_node:
        shutil.rmtree(toolchain.scratch, ignore_errors=True)


class Build:
    """One run of the Go toolchain over the sources, with its progress.

    Args:
        settings: Version and cache.
        reporter: Told how far the build is.
        toolchain: The Go to build with.
        sources: Folder of main.go, go.mod and go.sum; only read.
        title: What is built.
    """

    def __init__(self, settings: Settings, reporter: Reporter, toolchain: Toolchain, sources: Path, title: str) -> None:
        self._settings, self._reporter, self._toolchain, self._sources = settings, reporter, toolchain, sources
        self._title = title
        self._log = settings.cache / "go" / "build.log"

    def run(self, binary: Path) -> None:
        """Fetch the modules, then compile and link them into `binary`."""
        packages = self._list_packages()
        flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={_linker_flags(self._settings)}"]
        with self._reporter.step(f"Compiling {self._title}", "packages") as step:
            compiled: list[str] = []
            self._go(
                ["build", "-v", *flags, "-o", binary, "."],
                compiled.append,
                lambda: step.advance(len(compiled), packages),
            )

    def _list_packages(self) -> int:
        """Fetch the modules that are needed (a side effect of listing) and count the packages to compile."""
        packages: list[str] = []
        with self._reporter.step("Fetching the Go modules", "modules and packages") as step:
            self._go(["list", "-mod=readonly", "-deps", "."], packages.append, lambda: step.advance(len(packages)))
        return sum(not line.startswith("go: ") for line in packages)

    def _go(self, arguments: list[str | Path], on_line: Callable[[str], None], on_tick: Callable[[], None]) -> None:
        verb, *rest = arguments
        command = [self._toolchain.go, verb, "-C", self._sources, *rest]
        status = run_watched("go", command, self._log, on_line=on_line, on_tick=on_tick, environ=self._environ())
        if status != 0:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise SourceUnavailable(f"go {verb} failed: {last or status} (the log is {self._log}).", _REMEDY)

    def _environ(self) -> dict[str, str]:
        """Pin what a person's own Go settings must not change: no C compiler, no workspace, no other Go."""
        flags = "-modcacherw" if self._toolchain.scratch else ""  # or our own copy could not be removed afterwards
        pinned = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": flags}
        return {**os.environ, **self._toolchain.environ, **pinned}


def _check_disk(settings: Settings) -> None:
    free = shutil.disk_usage(settings.cache).free
    if free < settings.build_bytes:
        needed, gigabyte = settings.build_bytes, 10**9
        message = f"A build needs {needed // gigabyte} GB of disk, {settings.cache} has {free // gigabyte} GB."
        raise SourceUnavailable(message, "Free some, or set TINKER_OPERATOR_CACHE to a folder on a larger disk.")


def _linker_flags(settings: Settings) -> str:
    """Tell the binary its version: built from modules it would call itself v0.0.0, which kubectl and clients refuse."""
    major, minor, _ = settings.version.split(".")
    stamp = "k8s.io/component-base/version"
    return f"-s -w -X {stamp}.gitVersion=v{settings.version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"

"""The upper layers of our images: the packages that something needs, as they are installed here, and the project.

`playground.node.images` asks for them. What is copied is what the tests run with; no package index is asked. An
editable project is first made a wheel, so that an image has what a release would have.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement

from playground.errors import ComponentFailed
from playground.node.interpreter import APP, SITE, stage_libraries

PROJECT = "tinker-operator"
_SCRIPT = "#!{app}/bin/python\nimport sys\n\nfrom {module} import {name}\n\nsys.exit({call}())\n"
_SOURCES = ("operator", "crds", "deploy", "pyproject.toml", "README.md", "LICENSE")
_WHEEL_SECONDS = 300.0


def needed(requirements: Iterable[str]) -> tuple[Distribution, ...]:
    """The installed distributions that some requirements need, they themselves first, each once, sorted by name.

    Args:
        requirements: Such as `tinker-operator[trainer]`.

    Raises:
        ComponentFailed: One is not installed here.
    """
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    open_: list[Requirement] = [Requirement(text) for text in requirements]
    while open_:
        requirement = open_.pop()
        name = _canonical(requirement.name)
        found[name] = _installed(requirement)
        for extra in {"", *requirement.extras} - {extra for one, extra in asked if one == name}:
            asked.add((name, extra))
            open_ += _required(found[name], extra)
    return tuple(found[name] for name in sorted(found))


def _required(which: Distribution, extra: str) -> Iterator[Requirement]:
    for requirement in map(Requirement, which.requires or ()):
        if (requirement.marker is None and not extra) or (
            requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        ):
            yield requirement


def _installed(requirement: Requirement) -> Distribution:
    try:
        return distribution(requirement.name)
    except PackageNotFoundError as error:
        remedy = f"Install it: pip install '{requirement}'."
        raise ComponentFailed(f"{requirement.name} is not installed here.", remedy) from error


def key(which: Sequence[Distribution]) -> str:
    """A hash of what they consist of: their RECORDs have the hashes of all their files."""
    digest = hashlib.sha256()
    for each in which:
        digest.update(f"{each.name} {each.version} {each.read_text('RECORD')}".encode())
    return digest.hexdigest()


def stage(which: Sequence[Distribution], root: Path) -> None:
    """Copy their modules, scripts and shared libraries; certifi's authorities become the system's.

    Args:
        which: Installed, not editable.
        root: What becomes `/`.
    """
    site = root / SITE[1:]
    for each in which:
        for file in each.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(each.locate_file(file)), target)
        _stage_scripts(each, root)
    _stage_authorities(site / "certifi" / "cacert.pem", root)
    loaded = [
        Path(str(each.locate_file(file))) for each in which for file in each.files or () if ".so" in file.suffixes
    ]
    stage_libraries(loaded, root)


def _stage_authorities(bundle: Path, root: Path) -> None:
    """The SDK does not start on a system without certificate authorities, even where it speaks no TLS."""
    if bundle.exists():
        system = root / "etc" / "ssl" / "certs" / "ca-certificates.crt"
        system.parent.mkdir(parents=True)
        shutil.copy(bundle, system)


def _stage_scripts(which: Distribution, root: Path) -> None:
    for entry in which.entry_points.select(group="console_scripts"):
        script = root / APP[1:] / "bin" / entry.name
        script.parent.mkdir(parents=True, exist_ok=True)
        name = entry.attr.partition(".")[0]
        script.write_text(_SCRIPT.format(app=APP, module=entry.module, name=name, call=entry.attr))
        script.chmod(0o755)


def editable_source(which: Distribution) -> Path | None:
    """The checkout that an editable installation points at; None when it is installed whole."""
    origin = json.loads(which.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))


def source_key(checkout: Path) -> str:
    """A hash of what the wheel of a checkout is made of."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        for path in sorted(_files(checkout / name)):
            digest.update(f"{path.relative_to(checkout)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def stage_checkout(checkout: Path, root: Path) -> None:
    """Build the wheel of a checkout and unpack it with its scripts.

    Args:
        checkout: Has a pyproject.toml.
        root: What becomes `/`.

    Raises:
        ComponentFailed: It cannot be built; the message has what pip wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        site = root / SITE[1:]
        with zipfile.ZipFile(_wheel(checkout, Path(folder))) as wheel:
            wheel.extractall(site)
        for information in site.glob("*.dist-info"):
            _stage_scripts(Distribution.at(information), root)


def _wheel(checkout: Path, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--wheel-dir"]
    command: list[str | Path] = [*pip, folder, checkout]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WHEEL_SECONDS)  # noqa: S603
    if answer.returncode != 0:
        raise ComponentFailed(f"No wheel of {checkout}: {answer.stderr.strip()[-1000:]}.", "Mend it, and try again.")
    return next(folder.glob("*.whl"))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

"""The published binaries: the envtest archive of controller-tools, and from the Kubernetes releases what it lacks.

`playground.binaries` asks it before it thinks of building. The index is a map from version to archive to hash (SHA-512)
and selfLink; the archive holds `controller-tools/envtest/{etcd,kube-apiserver,kubectl}`.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from playground.download import Fetcher
from playground.errors import SourceUnavailable
from playground.progress import Reporter
from playground.settings import Settings

_ARCHIVED = ("etcd", "kube-apiserver", "kubectl")
_INSIDE = Path("controller-tools") / "envtest"
_SHA512 = re.compile(r"[0-9a-fA-F]{128}")
_VERSION = re.compile(r"v(\d+\.\d+)\.(\d+)")
_REMEDY = "Report it to the publisher; meanwhile the control plane can be built here."


@dataclass(frozen=True, slots=True)
class Release:
    """One published archive.

    Attributes:
        version: Kubernetes version, without the v.
        url: Where the archive is.
        sha512: Its checksum in hexadecimal.
    """

    version: str
    url: str
    sha512: str


def newest_release(settings: Settings, reporter: Reporter) -> Release:
    """Look the newest patch release of our minor version and platform up in the published index.

    Raises:
        SourceUnavailable: The index cannot be had, or lists none.
    """
    with Fetcher(settings, reporter) as fetcher:
        return choose_release(fetcher.text(settings.index_url), settings)


def choose_release(index: str, settings: Settings) -> Release:
    """Choose from the text of the index.

    Raises:
        SourceUnavailable: It is not an index, or lists none for us.
    """
    found = [
        release for release in _releases(index, settings.platform) if release.version.startswith(f"{settings.minor}.")
    ]
    if not found:
        message = f"{settings.index_url} lists no archive of Kubernetes {settings.minor} for {settings.platform}."
        raise SourceUnavailable(message, _REMEDY)
    return max(found, key=lambda release: int(release.version.rpartition(".")[2]))


def _releases(index: str, platform: str) -> list[Release]:
    try:
        tree: Any = yaml.safe_load(index)
        listed = tree["releases"].items()
        archives = [(version, files.get(f"envtest-{version}-{platform}.tar.gz")) for version, files in listed]
        return [
            Release(version[1:], str(archive["selfLink"]), _checksum(str(archive["hash"])))
            for version, archive in archives
            if archive is not None and _VERSION.fullmatch(version)
        ]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SourceUnavailable("The index of the published binaries cannot be read.", _REMEDY) from error


def fetch_release(release: Release, settings: Settings, reporter: Reporter, target: Path) -> None:
    """Fetch all four binaries of a release into the empty folder `target`.

    Raises:
        SourceUnavailable: Anything on the way; what is in `target` is then not to be used.
    """
    fetch_components(("kube-controller-manager",), release.version, settings, reporter, target)
    archive = target / f"envtest-v{release.version}.tar.gz"
    with Fetcher(settings, reporter) as fetcher:
        fetcher.file(release.url, release.sha512, archive)
    unpack(archive, target)
    archive.unlink()


def fetch_components(
    names: tuple[str, ...], version: str, settings: Settings, reporter: Reporter, target: Path
) -> None:
    """Fetch single binaries of a Kubernetes release into `target`, each checked against its `.sha512`.

    Args:
        names: Such as `kube-controller-manager`.
        version: Kubernetes version, without the v.
        settings: Where the releases are.
        reporter: Told how far it is.
        target: An existing folder.

    Raises:
        SourceUnavailable: One of them cannot be had.
    """
    root = f"{settings.release_url}/v{version}/bin/{settings.platform.replace('-', '/')}"
    with Fetcher(settings, reporter) as fetcher:
        for name in names:
            sha512 = _checksum(fetcher.text(f"{root}/{name}.sha512"))
            fetcher.file(f"{root}/{name}", sha512, target / name)
            (target / name).chmod(0o755)


def unpack(archive: Path, target: Path) -> None:
    """Take the binaries out of an envtest archive into `target`; nothing is ever written outside of it.

    Raises:
        SourceUnavailable: It is no archive, holds a path or link that leads outside, or lacks a binary.
    """
    inside = target / "unpacked"
    if not hasattr(tarfile, "data_filter"):
        raise SourceUnavailable("This Python cannot unpack archives safely.", "Use Python 3.11.4 or newer.")
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(inside, filter="data")
        for name in _ARCHIVED:
            (inside / _INSIDE / name).replace(target / name)
            (target / name).chmod(0o755)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SourceUnavailable(f"{archive.name} cannot be used: {error}.", _REMEDY) from error
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _checksum(text: str) -> str:
    first = (text.split() or [""])[0]
    if not _SHA512.fullmatch(first):
        raise SourceUnavailable("A published checksum is not a SHA-512.", _REMEDY)
    return first.lower()

"""Finds the binaries of the control plane, by the first source that has them.

    KUBEBUILDER_ASSETS ──> the cache ──> the published binaries ──> a build from Go modules

A source that has none says why, and the next is asked. What is downloaded or built is kept in the cache, one folder
per version. The commands and the test fixtures call `locate` or `find`.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from playground.build import build, build_key, source_folder
from playground.cache import Cache, missing_from
from playground.errors import NoBinaries, SourceUnavailable
from playground.progress import Reporter
from playground.progress import reporter as reporter_for
from playground.published import fetch_components, fetch_release, newest_release
from playground.settings import BINARIES, Settings

_REPORTED_VERSION = re.compile(r"v(\d+\.\d+\.\d+)")
_ASSETS_REMEDY = "Put the missing ones there, or unset KUBEBUILDER_ASSETS."


@dataclass(frozen=True, slots=True)
class Found:
    """The binaries of a control plane.

    Attributes:
        folder: Holds etcd, kube-apiserver, kube-controller-manager and kubectl.
        origin: Where they are from, for the person who reads along.
    """

    folder: Path
    origin: str


def locate(settings: Settings | None = None, reporter: Reporter | None = None) -> Path:
    """Answer a folder that holds the four binaries of a control plane, after getting them if need be.

    Args:
        settings: Where to look; by default from the environment.
        reporter: Told what is waited for; by default stderr.

    Raises:
        NoBinaries: No source has them; the message says why not, source by source.
        BadSetting: The environment names folders that do not exist or cannot be made.
    """
    return find(settings or Settings.from_environ(os.environ), reporter or reporter_for(sys.stderr)).folder


def find(settings: Settings, reporter: Reporter) -> Found:
    """Do what `locate` does, and tell also where they are from.

    Raises:
        NoBinaries: No source has them; the message says why not, source by source.
        BadSetting: The cache cannot be made.
    """
    search = Search(settings, reporter)
    reasons: list[str] = []
    for name, source in search.sources():
        try:
            return source()
        except SourceUnavailable as why:
            reasons.append(f"{name}: {why}")
            reporter.say(f"Not from {name}: {why}")
    raise NoBinaries(f"No source has the binaries of the control plane. {' '.join(reasons)}", "Mend one of these.")


class Search:
    """The sources in their order, over one cache.

    Args:
        settings: Where to look.
        reporter: Told what is waited for.
    """

    def __init__(self, settings: Settings, reporter: Reporter) -> None:
        self._settings, self._reporter = settings, reporter
        self._cache = Cache(settings.cache, reporter)

    def sources(self) -> Iterator[tuple[str, Callable[[], Found]]]:
        """Name and function of each source; the function raises SourceUnavailable when the source has none."""
        if self._settings.assets is not None:
            yield "KUBEBUILDER_ASSETS", partial(self._from_assets, self._settings.assets)
        yield "the cache", self._from_cache
        yield "the published binaries", self._from_published
        yield "a build from Go modules", self._from_build

    def _from_assets(self, assets: Path) -> Found:
        if not missing_from(assets):
            return Found(assets, f"KUBEBUILDER_ASSETS ({assets})")
        version = _reported_version(assets)
        name = f"completed-v{version}-{self._settings.platform}-{hashlib.sha256(bytes(assets)).hexdigest()[:16]}"
        folder = self._cache.entry(name, lambda target: self._complete(assets, version, target))
        return Found(folder, f"KUBEBUILDER_ASSETS ({assets}), completed")

    def _complete(self, assets: Path, version: str, target: Path) -> None:
        missing = missing_from(assets)
        try:
            fetch_components(missing, version, self._settings, self._reporter, target)
        except SourceUnavailable as why:
            _link(missing, self._of_the_same_minor(version, why), target)
        _link(tuple(name for name in BINARIES if name not in missing), assets, target)

    def _of_the_same_minor(self, version: str, why: SourceUnavailable) -> Path:
        """A controller manager or kubectl of another minor version would not fit the API server of the assets."""
        if not version.startswith(f"{self._settings.minor}."):
            raise why
        return self._without_download().folder

    def _without_download(self) -> Found:
        try:
            return self._from_cache()
        except SourceUnavailable:
            return self._from_build()

    def _from_cache(self) -> Found:
        settings = self._settings
        published = self._cache.complete(f"published-v{settings.minor}.*-{settings.platform}")
        for folder in sorted(published, key=_patch, reverse=True) + self._cache.complete(self._build_key()):
            return Found(folder, f"the cache ({folder})")
        raise SourceUnavailable(f"{settings.cache} holds no Kubernetes {settings.minor} yet.", "")

    def _from_published(self) -> Found:
        release = newest_release(self._settings, self._reporter)
        folder = self._cache.entry(
            f"published-v{release.version}-{self._settings.platform}",
            lambda target: fetch_release(release, self._settings, self._reporter, target),
        )
        return Found(folder, f"the published Kubernetes {release.version} ({folder})")

    def _from_build(self) -> Found:
        folder = self._cache.entry(
            self._build_key(), lambda target: build(self._settings, self._reporter, source_folder(), target)
        )
        return Found(folder, f"a build of Kubernetes {self._settings.version} ({folder})")

    def _build_key(self) -> str:
        return build_key(self._settings, source_folder())


def _reported_version(assets: Path) -> str:
    if "kube-apiserver" in missing_from(assets):
        raise SourceUnavailable(f"{assets} has no kube-apiserver.", _ASSETS_REMEDY)
    try:
        answer = subprocess.run(  # noqa: S603 -- the person named that folder
            [assets / "kube-apiserver", "--version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SourceUnavailable(f"{assets / 'kube-apiserver'} does not run.", _ASSETS_REMEDY) from error
    match = _REPORTED_VERSION.search(answer.stdout)
    if match is None:
        raise SourceUnavailable(f"{assets / 'kube-apiserver'} tells no version.", _ASSETS_REMEDY)
    return match[1]


def _link(names: tuple[str, ...], source: Path, target: Path) -> None:
    for name in names:
        (target / name).unlink(missing_ok=True)
        (target / name).symlink_to(source / name)


def _patch(entry: Path) -> int:
    match = _REPORTED_VERSION.search(entry.name)
    return int(match[1].rpartition(".")[2]) if match else -1

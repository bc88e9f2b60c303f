"""Finds kubelet and kube-scheduler the way `playground.binaries` finds the control plane's programs.

    KUBEBUILDER_ASSETS ──> the cache ──> the published binaries ──> a build from Go modules

`tinker-playground up --node`, `warm --node` and the test fixtures call `find_programs`. The build is one of its own,
so that who needs no node waits for none; it reuses what the build of the control plane has compiled.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

from playground.binaries import Found
from playground.build import Product, build, build_key
from playground.cache import Cache, missing_from
from playground.errors import NoBinaries, SourceUnavailable
from playground.progress import Reporter
from playground.published import fetch_components, newest_release
from playground.settings import NODE_BINARIES, Settings

_NODE = Product(
    "node", NODE_BINARIES, "the node", "about a minute after a build of the control plane, 10 without one, once"
)


def source_folder() -> Path:
    """The folder of the Go sources that ship with this package."""
    return Path(str(resources.files("playground.node") / "src"))


def find_programs(settings: Settings, reporter: Reporter) -> Found:
    """Answer a folder that holds kubelet and kube-scheduler, after getting them if need be.

    Args:
        settings: Where to look.
        reporter: Told what is waited for.

    Raises:
        NoBinaries: No source has them; the message says why not, source by source.
        BadSetting: The cache cannot be made.
    """
    search = NodeSearch(settings, reporter)
    reasons: list[str] = []
    for name, source in search.sources():
        try:
            return source()
        except SourceUnavailable as why:
            reasons.append(f"{name}: {why}")
            reporter.say(f"No kubelet from {name}: {why}")
        finally:
            shutil.rmtree(settings.cache / "go" / "scratch", ignore_errors=True)
    raise NoBinaries(f"No source has the programs of a node. {' '.join(reasons)}", "Mend one of these.")


class NodeSearch:
    """The sources in their order, over one cache.

    Args:
        settings: Where to look.
        reporter: Told what is waited for.
    """

    def __init__(self, settings: Settings, reporter: Reporter) -> None:
        self._settings, self._reporter = settings, reporter
        self._cache = Cache(settings.cache, reporter, NODE_BINARIES)
        self._built = f"node-{build_key(settings, source_folder())}"

    def sources(self) -> Iterator[tuple[str, Callable[[], Found]]]:
        """Name and function of each source; the function raises SourceUnavailable when the source has none."""
        if self._settings.assets is not None and not missing_from(self._settings.assets, NODE_BINARIES):
            found = Found(self._settings.assets, f"KUBEBUILDER_ASSETS ({self._settings.assets})")
            yield "KUBEBUILDER_ASSETS", lambda: found
        yield "the cache", self._from_cache
        yield "the published binaries", self._from_published
        yield "a build from Go modules", self._from_build

    def _from_cache(self) -> Found:
        settings = self._settings
        published = self._cache.complete(f"node-published-v{settings.minor}.*-{settings.platform}")
        for folder in [*published, *self._cache.complete(self._built)]:
            return Found(folder, f"the cache ({folder})")
        raise SourceUnavailable(f"{settings.cache} holds no node of Kubernetes {settings.minor} yet.", "")

    def _from_published(self) -> Found:
        version = newest_release(self._settings, self._reporter).version
        folder = self._cache.entry(
            f"node-published-v{version}-{self._settings.platform}",
            lambda target: fetch_components(NODE_BINARIES, version, self._settings, self._reporter, target),
        )
        return Found(folder, f"the published Kubernetes {version} ({folder})")

    def _from_build(self) -> Found:
        folder = self._cache.entry(
            self._built, lambda target: build(self._settings, self._reporter, source_folder(), target, _NODE)
        )
        return Found(folder, f"a build of Kubernetes {self._settings.version} ({folder})")

"""What kube-score says of manifests, for a machine that has none: a small program around its own packages, in Go.

The tests hold by it what the overlays and the chart make to what others have learnt about workloads. It is built once,
into the cache, as the control plane is, and go.sum ships with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from playground.build import Product
from playground.own_program import ask_own, find_own
from playground.progress import Reporter
from playground.settings import Settings

_PRODUCT = Product("manifest-score", (), "a judge of manifests", "about a minute on two cores, once")
_ALL_OK = 10


@dataclass(frozen=True, slots=True)
class Flaw:
    """One check that an object does not pass.

    Attributes:
        subject: Kind, version, namespace and name of the object, with slashes.
        check: Name of the check.
        told: What is wrong.
    """

    subject: str
    check: str
    told: str


@dataclass(frozen=True, slots=True)
class Scorer:
    """Judges manifests by every check of kube-score, those included that it makes only when asked.

    Attributes:
        program: What `find_scorer` has found.
        version: Minor version of Kubernetes that the manifests are for, such as 1.35.
    """

    program: Path
    version: str

    def __call__(self, manifests: str) -> tuple[Flaw, ...]:
        """Answer what is wrong with manifests that belong together.

        Args:
            manifests: A stream of YAML documents.

        Raises:
            ComponentFailed: They cannot be read; the message is that of kube-score.
        """
        command: list[str | Path] = [self.program, f"v{self.version}"]
        return tuple(_flaws(json.loads(ask_own(command, manifests, "Correct the manifests.")) or []))


def _flaws(objects: list[dict[str, Any]]) -> Iterator[Flaw]:
    for one in objects:
        for made in one["checks"]:
            if made["grade"] < _ALL_OK and not made["skipped"]:
                told = "; ".join(comment["summary"] for comment in made["comments"] or [])
                yield Flaw(one["object_name"], made["check"]["id"], told)


def source_folder() -> Path:
    """The folder of the Go sources that ship with this package."""
    return Path(str(resources.files("playground.scores") / "src"))


def find_scorer(settings: Settings, reporter: Reporter) -> Scorer:
    """Answer the judge of the cache, after building it if need be.

    Args:
        settings: Where the cache is.
        reporter: Told while it is built.

    Raises:
        SourceUnavailable: It cannot be built here.
        BadSetting: The cache cannot be made.
    """
    return Scorer(find_own(settings, reporter, source_folder(), _PRODUCT, "scores"), settings.minor)

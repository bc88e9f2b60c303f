"""What `helm template` prints, for a machine that has no Helm: a small program around Helm's own packages, in Go.

The tests compare by it what the chart makes with what the overlays make. It is built once, into the cache, as the
control plane is, and go.sum ships with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from playground.build import Product
from playground.own_program import ask_own, find_own
from playground.progress import Reporter
from playground.settings import Settings

_PRODUCT = Product("helm-render", (), "a renderer of Helm charts", "about two minutes on two cores, once")


def source_folder() -> Path:
    """The folder of the Go sources that ship with this package."""
    return Path(str(resources.files("playground.helm") / "src"))


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders charts.

    Attributes:
        program: What `find_renderer` has found.
    """

    program: Path

    def __call__(self, chart: Path, namespace: str, values: Mapping[str, Any] | None = None) -> str:
        """Answer the manifests of a chart as a stream of YAML documents, its kinds first.

        Args:
            chart: Its folder; the release has the name of that chart's application.
            namespace: Of the release.
            values: What is not as values.yaml has it.

        Raises:
            ComponentFailed: The chart refuses the values, or cannot be rendered; the message is Helm's.
        """
        command: list[str | Path] = [self.program, chart, "tinker-operator", namespace]
        given = json.dumps(dict(values or {}))
        return ask_own(command, given, "Correct the values, or the chart.")


def find_renderer(settings: Settings, reporter: Reporter) -> Renderer:
    """Answer the renderer of the cache, after building it if need be.

    Args:
        settings: Where the cache is.
        reporter: Told while it is built.

    Raises:
        SourceUnavailable: It cannot be built here.
        BadSetting: The cache cannot be made.
    """
    return Renderer(find_own(settings, reporter, source_folder(), _PRODUCT, "helm"))

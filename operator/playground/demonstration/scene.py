"""What every part of the story works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from playground.demonstration.crew import Crew
from playground.demonstration.loop_log import Told, read
from playground.demonstration.patience import Patience
from playground.demonstration.stage import Stage
from playground.kubectl import Kubectl


@dataclass(frozen=True, slots=True)
class Scene:
    """What every part of the story works with.

    Attributes:
        stage: Where it is told.
        patience: Waits.
        kubectl: As administrator of the cluster.
        crew: The processes.
        folder: Takes manifests and kubeconfigs.
    """

    stage: Stage
    patience: Patience
    kubectl: Kubectl
    crew: Crew
    folder: Path

    def told(self) -> Told:
        """What the training loop said so far."""
        return read(self.crew.log_of("loop"))

    def apply(self, name: str, manifest: str) -> None:
        """Write a manifest where a person can find it, and apply it as a person would."""
        path = self.folder / name
        path.write_text(manifest)
        self.kubectl("apply", "-f", path)

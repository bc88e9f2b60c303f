"""The processes beside the control plane: the simulator, the operator and the training loop, each on its own.

What a part may do is in the environment and the kubeconfig that it gets, and in nothing else: settings of the person's
own for Tinker or Kubernetes do not reach it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from playground.children import Child, stop_all
from playground.demonstration.errors import OrderRefused, PartEnded
from playground.demonstration.manifests import HAND_OVER, NAMESPACE
from playground.demonstration.service import API_KEY

CLUSTER_ID = "demo"
_SAVE_EVERY = 5
_STEP_SECONDS = 0.1
_STEPS = 1_000_000
_SERVING = re.compile(r"serving on (http://\S+)\n")
_CALLERS_STOP_SECONDS = 3.0
_SIMULATOR_STOP_SECONDS = 1.0
_ORDER_SECONDS = 60.0
_PERSONAL = re.compile(r"(TINKER_|KUBE).*|.*_proxy", re.IGNORECASE)


class Crew:
    """The parts. A context manager: left is stopped.

    Args:
        folder: Takes their logs and the simulator's state.
    """

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "logs"
        self._state = folder / "simulator"
        self._scratch = folder / "scratch"
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        self._scratch.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        callers = [child for name, child in self._children.items() if name != "simulator"]
        stop_all(callers, _CALLERS_STOP_SECONDS)
        stop_all([child for child in self._children.values() if child not in callers], _SIMULATOR_STOP_SECONDS)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def start_simulator(self) -> None:
        """Start the Tinker service on a free port."""
        options: list[str | Path] = ["--port", "0", "--state-dir", self._state, "--admin"]
        self._start("simulator", [_script("tinker-simulator"), "serve", *options], {})

    def simulator_url(self) -> str | None:
        """Where it serves; None while it does not."""
        found = _SERVING.search(self._children["simulator"].log.read_text())
        return found[1] if found else None

    def start_operator(self, url: str, kubeconfig: Path, lease_namespace: str) -> None:
        """Start the operator, with that kubeconfig and the service's key as its only credentials."""
        command: list[str | Path] = [
            _script("tinker-operator"),
            "run",
            "--kubeconfig",
            kubeconfig,
            "--cluster-id",
            CLUSTER_ID,
        ]
        self._start("operator", [*command, "--lease-namespace", lease_namespace], _service(url))

    def start_loop(self, url: str, kubeconfig: Path) -> None:
        """Start the training loop, which reads its hand-over with that kubeconfig."""
        pace = ["--steps", str(_STEPS), "--save-every", str(_SAVE_EVERY), "--step-seconds", str(_STEP_SECONDS)]
        place = {"TINKER_OPERATOR_HANDOVER": f"configmap://{NAMESPACE}/{HAND_OVER}", "KUBECONFIG": str(kubeconfig)}
        self._start("loop", [sys.executable, "-m", "playground.loop", *pace], _service(url) | place)

    def order_fault(self, url: str, *arguments: str) -> None:
        """Order a fault from the simulator by its own command.

        Raises:
            OrderRefused: The command exited non-zero.
        """
        answer = subprocess.run(  # noqa: S603 -- our own command with our own arguments
            [_script("tinker-simulator"), "fault", arguments[0], "--url", url, *arguments[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=_ORDER_SECONDS,
            env=self._environ({}),
        )
        if answer.returncode != 0:
            raise OrderRefused(f"tinker-simulator fault {arguments[0]}: {answer.stderr.strip()}", "")

    def log_of(self, name: str) -> Path:
        """The log of a part that was started: simulator, operator or loop."""
        return self._children[name].log

    def check(self) -> None:
        """See that every part still runs.

        Raises:
            PartEnded: One has ended.
        """
        for child in self._children.values():
            if not child.running:
                message = f"The {child.name} ended with status {child.exit_status}."
                raise PartEnded(message, "Read what it says, above.")

    def tails(self) -> Mapping[str, str]:
        """The last lines of each part's log."""
        return {name: child.tail() for name, child in self._children.items()}

    def _start(self, name: str, command: list[str | Path], environ: dict[str, str]) -> None:
        self._children[name] = Child(name, command, self.logs / f"{name}.log", self._environ(environ))

    def _environ(self, own: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _PERSONAL.fullmatch(name)}
        # A part that has to be killed leaves its temporary files, and a Kubernetes client keeps credentials in them.
        return kept | {"TMPDIR": str(self._scratch)} | own


def _script(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def _service(url: str) -> dict[str, str]:
    return {"TINKER_BASE_URL": url, "TINKER_API_KEY": API_KEY}

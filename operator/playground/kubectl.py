"""Runs the real kubectl with one kubeconfig.

The commands, the fixtures and the demonstration talk to the API server through it, as a person would.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import KubectlFailed

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A kubectl bound to a kubeconfig; call it with the arguments of a command line.

    Attributes:
        program: The kubectl to run.
        kubeconfig: The file it uses, whatever KUBECONFIG says.
    """

    program: Path
    kubeconfig: Path

    def __call__(
        self, *arguments: str | Path, stdin: str | None = None, check: bool = True, seconds: float = _TIMEOUT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run one command and answer its exit status and output.

        Args:
            arguments: As on the command line.
            stdin: Text for `-f -`.
            check: Whether a non-zero exit is an error; when not, look at `returncode` and `stderr`.
            seconds: How long it may take.

        Raises:
            KubectlFailed: It exited non-zero while `check` holds, or took too long.
        """
        # KUBERC: a person's own kubectl preferences must not change what a command here means.
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", *map(str, arguments)]
        try:
            answer = subprocess.run(  # noqa: S603 -- our own kubectl with our own arguments
                command,
                input=stdin or "",
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
                env={**os.environ, "KUBERC": "off"},
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlFailed(f"{_shown(arguments)} took longer than {seconds:g} s.", "") from error
        if check and answer.returncode != 0:
            raise KubectlFailed(f"{_shown(arguments)}: {answer.stderr.strip() or answer.stdout.strip()}", "")
        return answer

    def json(self, *arguments: str | Path) -> Any:
        """Run one command with `-o json` and answer what it printed, parsed.

        Raises:
            KubectlFailed: It exited non-zero.
        """
        return json.loads(self(*arguments, "-o", "json").stdout)

    def apply(self, manifest: str) -> None:
        """Apply a manifest (YAML or JSON) on the server's side.

        Raises:
            KubectlFailed: The server refuses it; the message is the server's.
        """
        self("apply", "--server-side", "-f", "-", stdin=manifest)


def _shown(arguments: tuple[str | Path, ...]) -> str:
    return " ".join(["kubectl", *map(str, arguments)])

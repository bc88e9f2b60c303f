"""`kubectl tinker` as a person runs it: the installed script, found by the real kubectl."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.stage import KEY, Stage

SCRIPTS = Path(sys.executable).parent


def environ(stage: Stage, **changes: str) -> dict[str, str]:
    """Returns a person's own environment: a kubeconfig whose namespace is the test's, a key, and the scripts."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TINKER", "KUBE"))}
    path = os.pathsep.join([str(SCRIPTS), str(stage.kubectl.program.parent), os.environ["PATH"]])
    told = {"KUBECONFIG": str(stage.kubectl.kubeconfig), "TINKER_BASE_URL": stage.served.url, "TINKER_API_KEY": KEY}
    return {**plain, **told, "PATH": path, "COLUMNS": "120", "KUBERC": "off", **changes}


def tinker(
    stage: Stage, *arguments: str | Path, status: int = 0, stdin: str = "", **changes: str
) -> subprocess.CompletedProcess[str]:
    """Runs `kubectl tinker` in the test's namespace, and holds it to its exit status."""
    command = [str(stage.kubectl.program), "tinker", *map(str, arguments), "-n", stage.namespace]
    answer = subprocess.run(
        command, env=environ(stage, **changes), input=stdin, capture_output=True, text=True, check=False
    )
    assert answer.returncode == status, f"{command}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
    assert "Traceback" not in answer.stderr
    return answer


def told(stage: Stage, *arguments: str | Path, status: int = 0, **changes: str) -> dict[str, Any]:
    """Returns what it prints for programs."""
    report: dict[str, Any] = json.loads(tinker(stage, *arguments, "-o", "json", status=status, **changes).stdout)
    return report

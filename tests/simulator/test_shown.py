"""The commands of docs/simulator.md, as they stand there but for the port, which is one that is free."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.shown_commands import commands
from tests.leaving import TINKER, USING_THE_SDK

pytestmark = pytest.mark.http
PORT = "8100"


def test_the_commands_start_a_service_that_the_sdk_asks(tmp_path: Path) -> None:
    """It says when it is ready; the official command line then lists no run, under the page's key."""
    serve, settings, listing = commands("docs/simulator.md")
    shim = tmp_path / "bin" / "tinker"  # the official one, but that its threads cannot abort it at its end
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {" ".join(USING_THE_SDK)} {TINKER} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    path = os.pathsep.join([str(shim.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TINKER")} | {"PATH": path}
    free = serve.replace(f"--port {PORT}", "--port 0")
    with subprocess.Popen(
        ["bash", "-c", f"exec {free}"], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            port = service.stdout.readline().strip().rpartition(":")[2]
            script = f"{settings.replace(PORT, port)}\n{listing}"
            asked = subprocess.run(["bash", "-ec", script], env=environ, capture_output=True, text=True, check=False)
        finally:
            service.terminate()
        assert service.wait(timeout=10) == 0

    assert free != serve
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "run" in asked.stdout.lower()
    assert (tmp_path / "state").is_dir()

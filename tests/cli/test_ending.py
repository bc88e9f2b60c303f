"""SIGTERM ends the operator, also while it waits for an API server that never says anything."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.http

KUBECONFIG = {
    "current-context": "x",
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="while it asks for the identity of the cluster"),
        pytest.param(("--cluster-id", "c"), id="while it asks what it may watch"),
    ],
)
def test_a_silent_api_server_does_not_hold_up_the_end(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """It accepts the connection and never answers; the operator has ten seconds to end as asked."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(KUBECONFIG | {"clusters": [{"name": "c", "cluster": {"server": server}}]}))
        command = [sys.executable, "-m", "tinker_operator.cli", "run", "--kubeconfig", str(kubeconfig), *arguments]
        environ = {**os.environ, "TINKER_API_KEY": "tml-simulator"}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as operator:
            try:
                connection, _ = silent.accept()
                with connection:
                    connection.settimeout(30)
                    assert connection.recv(1)
                    operator.send_signal(signal.SIGTERM)
                    _, said = operator.communicate(timeout=10)
            finally:
                operator.kill()

    assert operator.returncode == 0, said
    assert "Traceback" not in said

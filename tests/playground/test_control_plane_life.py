"""A control plane starts, restarts and stops as one thing, in a folder and on ports of its own."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from playground.components import free_ports
from playground.controlplane import ControlPlane
from playground.errors import BadSetting, KubectlFailed
from playground.kubectl import Kubectl

pytestmark = pytest.mark.cluster


def test_a_folder_has_one_control_plane_at_a_time(control_plane: ControlPlane) -> None:
    """A second one in the same folder is refused before it touches anything."""
    second = ControlPlane(control_plane.folder, control_plane.bin)

    with pytest.raises(BadSetting, match="Another control plane runs"):
        second.start()

    control_plane.check()
    assert control_plane.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_the_api_server_can_be_restarted(control_plane: ControlPlane, tmp_path: Path) -> None:
    """After a restart it has the same address, and knows what it knew; tokens of service accounts stay good."""
    with ControlPlane(tmp_path / "own", control_plane.bin) as own:
        own.kubectl("create", "configmap", "memory")
        url = own.url
        path = own.service_account_kubeconfig("default", "default", tmp_path / "kubeconfig")

        server = own._children["kube-apiserver"]
        own.stop_api_server()
        assert server.exit_status == 0, "it was killed, although the open watches of the controllers need not delay it"
        with pytest.raises(KubectlFailed):
            own.kubectl("get", "configmaps")
        own.start_api_server()

        assert own.url == url
        assert own.kubectl("get", "configmap", "memory", "-o", "name").stdout == "configmap/memory\n"
        assert Kubectl(own.kubectl.program, path)("auth", "whoami").returncode == 0
    assert not own.admin_kubeconfig.exists()


def test_a_port_that_somebody_took_is_given_up_for_another(control_plane: ControlPlane, tmp_path: Path) -> None:
    """Between choosing a port and opening it anybody may take it: the control plane begins again with others."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offers = iter([replace(free_ports(), etcd=taken.getsockname()[1]), free_ports()])

        with ControlPlane(tmp_path / "own", control_plane.bin, ports=lambda: next(offers)) as own:
            assert own.kubectl("get", "--raw", "/readyz").stdout == "ok"

    assert next(offers, None) is None

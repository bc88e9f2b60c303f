"""A Kubernetes control plane of our own: etcd, kube-apiserver and kube-controller-manager as processes on loopback.

    you ── TLS, RBAC ──> kube-apiserver ── mutual TLS ──> etcd
                              ^
                              └── kube-controller-manager: garbage collection, service accounts, Jobs

There is no kubelet: Jobs get Pods, and the Pods stay Pending, unless a `playground.node.Node` joins. `tinker-playground
up`, the demonstration and the test fixtures start it. It begins empty, and ends with the process that started it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from playground.children import Child, see_running, stop_all
from playground.cluster import TOKEN_SECONDS, service_account_kubeconfig
from playground.components import (
    LOOPBACK,
    Ports,
    api_server_command,
    controller_manager_command,
    etcd_command,
    free_ports,
)
from playground.credentials import Credentials, make_credentials
from playground.errors import ComponentFailed
from playground.ground import Ground
from playground.kubeconfig import certificate_user, write_kubeconfig
from playground.kubectl import Kubectl
from playground.pki import Authority
from playground.probe import Probe
from playground.progress import Reporter, Silence, Step
from playground.settings import BINARIES

_READY_SECONDS = 90.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 4.0
_START_ATTEMPTS = 3
_PORT_TAKEN = "address already in use"
_FIRST_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


def utc_now() -> datetime:
    """The wall clock, for the dates in certificates; whoever starts a control plane may bring another."""
    return datetime.now(UTC)  # noqa: TID251 -- the composition root of the playground


class ControlPlane:
    """One control plane, its files and its processes. A context manager: entered is started, left is stopped.

    Args:
        folder: Where it lives; made if need be. What an earlier control plane left there is removed at the start.
        binaries: Folder with the four binaries, from `playground.binaries`.
        clock: The time of day, for certificates.
        monotonic: A clock for deadlines, in seconds.
        ports: Answers free ports; asked again when one of them was taken meanwhile.
        reporter: Told while `start` waits; by default nobody is.
        api_server_flags: More of them, such as those of an audit log.

    Attributes:
        folder: Where it lives, absolute.
        bin: Folder with links to the four binaries, kubectl among them.
        admin_kubeconfig: Kubeconfig of the administrator; there while the control plane is ready.
        ports: The ports it listens on, known once it is started.
    """

    def __init__(
        self,
        folder: Path,
        binaries: Path,
        *,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        ports: Callable[[], Ports] = free_ports,
        reporter: Reporter | None = None,
        api_server_flags: Sequence[str] = (),
    ) -> None:
        self.folder = folder.absolute()
        self.bin = self.folder / "bin"
        self.admin_kubeconfig = self.folder / "kubeconfig"
        self._binaries, self._clock, self._monotonic, self._free_ports = binaries.absolute(), clock, monotonic, ports
        self._reporter: Reporter = reporter or Silence()
        self._flags = api_server_flags
        self._children: dict[str, Child] = {}
        self._ground: Ground | None = None
        self._credentials: Credentials
        self.ports: Ports

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://{LOOPBACK}:{self.ports.api_server}"

    @property
    def ca_pem(self) -> str:
        """Certificate of the authority that the API server is checked by."""
        return self._credentials.ca.read_text()

    @property
    def authority(self) -> Authority:
        """The cluster's certificate authority, for who joins the cluster."""
        return self._credentials.authority

    @property
    def kubectl(self) -> Kubectl:
        """The real kubectl, as administrator."""
        return Kubectl(self.bin / "kubectl", self.admin_kubeconfig)

    def start(self, seconds: float = _READY_SECONDS) -> None:
        """Start everything and return when the API server is ready and the controllers do their work.

        Args:
            seconds: How long that may take.

        Raises:
            ComponentFailed: A component ended, or was not ready in time; the message ends with the tail of its log.
            BadSetting: The folder cannot be used.
        """
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                with self._reporter.step("Starting the control plane") as step:
                    self._start(self._monotonic() + seconds, step)
            except ComponentFailed as error:
                self.stop()
                if _PORT_TAKEN not in error.message or attempt == _START_ATTEMPTS:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End everything, within ten seconds; the files stay to be looked at. Stopping twice does nothing."""
        etcd = [child for name, child in self._children.items() if name == "etcd"]
        others = [child for name, child in self._children.items() if name != "etcd"]
        stop_all(others, _STOP_SECONDS)
        stop_all(etcd, _STOP_SECONDS)
        self._children.clear()
        if self._ground is not None:
            self.admin_kubeconfig.unlink(missing_ok=True)
            self._ground.release()
            self._ground = None

    def check(self) -> None:
        """See that every component still runs.

        Raises:
            ComponentFailed: One has died; the message ends with the tail of its log.
        """
        see_running(self._children.values())

    def stop_api_server(self) -> None:
        """End the API server alone, as a crash or an upgrade would; every connection to it breaks."""
        self._children.pop("kube-apiserver").stop(_STOP_SECONDS)

    def start_api_server(self, seconds: float = _READY_SECONDS) -> None:
        """Start the API server again, on the same address and with everything it knew, and return when it is ready.

        Args:
            seconds: How long that may take.

        Raises:
            ComponentFailed: It ended, or was not ready in time.
        """
        self._spawn_api_server()
        self._await("/readyz", self._monotonic() + seconds, Silence())

    def restart_api_server(self) -> None:
        """Stop and start the API server.

        Raises:
            ComponentFailed: It did not come back.
        """
        self.stop_api_server()
        self.start_api_server()

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path, seconds: int = TOKEN_SECONDS) -> Path:
        """Write a kubeconfig whose only credential is a token of a service account, and answer its path.

        Args:
            namespace: Of the service account; the default namespace of the kubeconfig, too.
            name: Of the service account; it exists.
            path: Where to write; its folder exists.
            seconds: How long the token is good for; at least 600.

        Raises:
            KubectlFailed: The API server gives no token, because there is no such service account, say.
        """
        return service_account_kubeconfig(self.kubectl, namespace, name, path, seconds)

    def _start(self, deadline: float, step: Step) -> None:
        self._prepare()
        bin_, ports, credentials = self.bin, self.ports, self._credentials
        kubeconfig = self._write_kubeconfig(self.folder / "pki" / "controller-manager.kubeconfig", "controller_manager")
        self._spawn("etcd", etcd_command(bin_ / "etcd", self.folder / "etcd", ports, credentials))
        self._spawn_api_server()
        self._await("/readyz", deadline, step)
        manager = controller_manager_command(bin_ / "kube-controller-manager", kubeconfig, credentials)
        self._spawn("kube-controller-manager", manager)
        self._await(_FIRST_ACCOUNT, deadline, step)
        self._write_kubeconfig(self.admin_kubeconfig, "admin")

    def _prepare(self) -> None:
        self._ground = Ground(self.folder)
        self.ports = self._free_ports()
        self._credentials = make_credentials(self.folder / "pki", self._clock())
        self.bin.mkdir()
        for name in BINARIES:
            (self.bin / name).symlink_to(self._binaries / name)

    def _write_kubeconfig(self, path: Path, identity: str) -> Path:
        return write_kubeconfig(path, self.url, self.ca_pem, certificate_user(getattr(self._credentials, identity)))

    def _spawn_api_server(self) -> None:
        command = api_server_command(self.bin / "kube-apiserver", self.ports, self._credentials)
        self._spawn("kube-apiserver", [*command, *self._flags])

    def _spawn(self, name: str, command: Sequence[str | Path]) -> None:
        # etcd refuses a flag that its environment sets as well; the API server would call a node through a proxy.
        environ = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("ETCD_") and not key.upper().endswith("_PROXY")
        }
        self._children[name] = Child(name, command, self.folder / "logs" / f"{name}.log", environ)

    def _await(self, path: str, deadline: float, step: Step) -> None:
        with Probe(self.url, self.ca_pem, self._credentials.admin) as probe:
            while not probe.finds(path):
                self.check()
                if self._monotonic() >= deadline:
                    slow = self._children["kube-apiserver"]
                    message = f"The API server does not answer {path} in time. The end of {slow.log}:\n{slow.tail()}\n"
                    raise ComponentFailed(message, "Give it more time, or a machine with less to do.")
                step.advance(0)
                time.sleep(_POLL_SECONDS)

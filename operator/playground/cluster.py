"""What the commands, the demonstration and the tests need of a cluster, and the cluster that a person points at.

`Cluster` is fulfilled by `playground.controlplane.ControlPlane` and by `UserCluster`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from playground.errors import BadSetting, KubectlFailed
from playground.ground import Ground
from playground.kubeconfig import token_user, with_user, write_private
from playground.kubectl import Kubectl

TOKEN_SECONDS = 86_400
_REMEDY = "Set KUBECONFIG to a kubeconfig of a cluster that answers, or leave --use-cluster out."
_VIEW = ("config", "view", "--raw", "--flatten", "--minify", "-o", "yaml")


class Cluster(Protocol):
    """A Kubernetes API server that we may use as administrator; a context manager."""

    @property
    def bin(self) -> Path:
        """Folder with kubectl."""

    @property
    def admin_kubeconfig(self) -> Path:
        """Kubeconfig of the administrator, without references to other files."""

    @property
    def kubectl(self) -> Kubectl:
        """The real kubectl, as administrator."""

    def check(self) -> None:
        """Raise ComponentFailed when something that belongs to it has died."""

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path, seconds: int = TOKEN_SECONDS) -> Path:
        """Write a kubeconfig whose only credential is a token of that service account."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class UserCluster:
    """The cluster that KUBECONFIG points at; entering it checks that it answers. Nothing is started or stopped.

    Args:
        folder: Gets a flattened copy of the kubeconfig and `bin/kubectl`.
        find_kubectl: Answers a kubectl when there is none on PATH.
        environ: The environment, with KUBECONFIG and PATH.

    Attributes:
        folder: As given, absolute.
        bin: Folder with kubectl.
        admin_kubeconfig: The copy.
    """

    def __init__(self, folder: Path, find_kubectl: Callable[[], Path], environ: Mapping[str, str]) -> None:
        self.folder = folder.absolute()
        self.bin = self.folder / "bin"
        self.admin_kubeconfig = self.folder / "kubeconfig"
        self._find_kubectl, self._environ = find_kubectl, environ
        self._ground: Ground | None = None

    def __enter__(self) -> Self:
        kubeconfig = self._kubeconfig()
        self._ground = Ground(self.folder)
        try:
            self._link_kubectl()
            write_private(self.admin_kubeconfig, self._view(kubeconfig))
            self._ask()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def kubectl(self) -> Kubectl:
        """The kubectl of PATH, or ours, with the person's own rights."""
        return Kubectl(self.bin / "kubectl", self.admin_kubeconfig)

    def check(self) -> None:
        """Nothing of it is ours to watch."""

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path, seconds: int = TOKEN_SECONDS) -> Path:
        """Write a kubeconfig whose only credential is a token of that service account.

        Raises:
            KubectlFailed: The API server gives no token.
        """
        return service_account_kubeconfig(self.kubectl, namespace, name, path, seconds)

    def _leave(self) -> None:
        if self._ground is not None:
            self.admin_kubeconfig.unlink(missing_ok=True)
            self._ground.release()
            self._ground = None

    def _kubeconfig(self) -> str:
        text = self._environ.get("KUBECONFIG", "")
        if not any(Path(part).is_file() for part in text.split(os.pathsep) if part):
            raise BadSetting(f"--use-cluster needs KUBECONFIG, which is {text!r}: no file.", _REMEDY)
        return text

    def _link_kubectl(self) -> None:
        found = shutil.which("kubectl", path=self._environ.get("PATH"))
        self.bin.mkdir()
        (self.bin / "kubectl").symlink_to(Path(found).absolute() if found else self._find_kubectl())

    def _view(self, kubeconfig: str) -> str:
        environ = {**self._environ, "KUBECONFIG": kubeconfig}
        answer = subprocess.run(  # noqa: S603 -- the kubectl that was just linked
            [self.bin / "kubectl", *_VIEW], capture_output=True, text=True, check=False, timeout=30, env=environ
        )
        if answer.returncode != 0:
            raise BadSetting(f"KUBECONFIG cannot be read: {answer.stderr.strip()}.", _REMEDY)
        return answer.stdout

    def _ask(self) -> None:
        try:
            self.kubectl("get", "--raw", "/readyz", "--request-timeout=10s", seconds=30)
        except KubectlFailed as error:
            last = error.message.splitlines()[-1]
            raise BadSetting(f"The cluster of KUBECONFIG does not answer: {last}.", _REMEDY) from error


def service_account_kubeconfig(kubectl: Kubectl, namespace: str, name: str, path: Path, seconds: int) -> Path:
    """Write a kubeconfig whose only credential is a token of a service account, and answer its path.

    Args:
        kubectl: As somebody who may ask for tokens.
        namespace: Of the service account; the default namespace of the kubeconfig, too.
        name: Of the service account; it exists.
        path: Where to write; its folder exists.
        seconds: How long the token is good for; at least 600.

    Raises:
        KubectlFailed: The API server gives no token, because there is no such service account, say.
    """
    duration = f"--duration={seconds}s"
    token = kubectl("create", "token", name, f"--namespace={namespace}", duration).stdout.strip()
    return write_private(path, with_user(kubectl.kubeconfig.read_text(), token_user(token), namespace))

"""Every setting of the playground in one frozen value, so that tests point it at a server and a cache of their own.

The command line and the fixtures build it once with `Settings.from_environ` and hand it down: nothing below reads the
environment for a setting of its own (Go and pip keep reading theirs: a mirror that the machine needs is set there).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from playground.errors import BadSetting

BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE_BINARIES = ("kubelet", "kube-scheduler")
SERVICE_RANGE = "10.0.0.0/24"  # of cluster addresses; seen by Pods only, so it may be the machine's network as well
SERVICE_ADDRESS = "10.0.0.1"  # the first of them is the API server's, as in every cluster
KUBERNETES_VERSION = "1.35.4"
_INDEX_URL = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"
_RELEASE_URL = "https://dl.k8s.io/release"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the binaries of the control plane may come from, and where they are kept.

    Attributes:
        cache: Folder outside the repository that keeps what was downloaded or built.
        assets: Folder of KUBEBUILDER_ASSETS, or None.
        version: Kubernetes version to build; of the published ones the newest patch of the same minor is taken.
        index_url: The index of the published envtest archives.
        release_url: Root of the published Kubernetes releases, `<root>/v<version>/bin/<os>/<arch>/<name>`.
        connect_seconds: How long a name look-up and a connection may take, each, before a host counts as unreachable.
        read_seconds: How long a download may stand still before its connection counts as cut.
        attempts: How often one download is begun or resumed before it is given up.
        pause_seconds: Pause between two attempts of one download.
        search_path: Value of PATH in which `go` and `kubectl` are looked up; None for the process's own.
        build_bytes: Free disk space without which a build is not begun.
        platform: Go's name of operating system and architecture, such as `linux-amd64`.
        with_node: Whether the programs of a node are wanted too: what one build compiled is then kept for the other.
    """

    cache: Path
    assets: Path | None = None
    version: str = KUBERNETES_VERSION
    index_url: str = _INDEX_URL
    release_url: str = _RELEASE_URL
    connect_seconds: float = 3.0
    read_seconds: float = 30.0
    attempts: int = 4
    pause_seconds: float = 1.0
    search_path: str | None = None
    build_bytes: int = 6_000_000_000
    platform: str = "linux-amd64"
    with_node: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read TINKER_OPERATOR_CACHE, KUBEBUILDER_ASSETS and PATH; everything else keeps its default.

        Raises:
            BadSetting: The cache is inside no absolute path, or KUBEBUILDER_ASSETS is no folder.
        """
        return cls(
            cache=_cache(environ.get("TINKER_OPERATOR_CACHE", "")),
            assets=_assets(environ.get("KUBEBUILDER_ASSETS", "")),
            search_path=environ.get("PATH"),
            platform=this_platform(),
        )

    @property
    def minor(self) -> str:
        """The minor version, such as `1.35`."""
        return self.version.rpartition(".")[0]


def this_platform() -> str:
    """Name operating system and architecture of this machine the way Go and the published archives do."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_ARCHITECTURES.get(machine, machine)}"


def _cache(text: str) -> Path:
    if not text:
        return platformdirs.user_cache_path("tinker-operator")
    path = Path(text)
    if path.is_absolute():
        return path
    raise BadSetting(
        f"TINKER_OPERATOR_CACHE is {text!r}, which is not an absolute path.", "Set it to one, or unset it."
    )


def _assets(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    if path.is_dir():
        return path.absolute()
    raise BadSetting(f"KUBEBUILDER_ASSETS is {text!r}, which is not a folder.", "Set it to the folder, or unset it.")

"""What a machine must have before it can be a node, each by name and with the way to get it.

`tinker-playground up --node` refuses with it, and the test fixtures skip with it: a node is the one part of the
playground that needs root and programs that Python cannot bring along.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playground.errors import BadSetting

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # many a PATH leaves them out
_PLUGINS = ("bridge", "host-local", "loopback")
_PROGRAMS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "ldd": "libc-bin",
}
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc")
_CONTROLLERS = ("cpu", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Machine:
    """What is asked about a machine, so that tests can bring another.

    Attributes:
        platform: As `sys.platform`.
        root: Whether we are root.
        search_path: Folders in which programs are looked up.
        plugin_folders: Folders in which CNI plugins are looked up.
        cgroups: Where the control groups are mounted.
        namespaces: Whether we may make namespaces.
    """

    platform: str = field(default_factory=lambda: sys.platform)
    root: bool = field(default_factory=lambda: os.geteuid() == 0)
    search_path: str = field(default_factory=lambda: os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS]))
    plugin_folders: tuple[Path, ...] = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
    cgroups: Path = Path("/sys/fs/cgroup")
    namespaces: Callable[[str], bool] = field(default_factory=lambda: may_unshare)

    def program(self, name: str) -> str:
        """Absolute path of a program that `require_node` has found."""
        found = shutil.which(name, path=self.search_path)
        if found is None:
            raise BadSetting(f"{name} has gone from this machine.", _remedy([_PROGRAMS[name]]))
        return str(Path(found).absolute())

    @property
    def plugins(self) -> Path | None:
        """Folder that has the CNI plugins; None when no folder has them all."""
        having = (folder for folder in self.plugin_folders if all((folder / name).exists() for name in _PLUGINS))
        return next(having, None)

    @property
    def unified(self) -> bool:
        """Whether the control groups are version 2."""
        return (self.cgroups / "cgroup.controllers").exists()


def may_unshare(unshare: str) -> bool:
    """Try to make the namespaces of a node; a container that is not privileged refuses."""
    command = [unshare, *NAMESPACES, "--fork", "--mount-proc", "true"]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0  # noqa: S603 -- util-linux's


def require_node(machine: Machine | None = None) -> Machine:
    """See that this machine can be a node, and answer what is known about it.

    Args:
        machine: To be judged; by default this one.

    Raises:
        BadSetting: Something is missing; everything that is, is named, with how to get it.
    """
    judged = machine or Machine()
    why, packages = _missing(judged)
    if why:
        raise BadSetting(f"This machine cannot be a node: {'; '.join(why)}.", _remedy(packages))
    return judged


def _missing(machine: Machine) -> tuple[list[str], list[str]]:
    if machine.platform != "linux":
        return [f"a kubelet runs on Linux, not on {machine.platform}"], []
    absent = {name: package for name, package in _PROGRAMS.items() if not shutil.which(name, path=machine.search_path)}
    why = [] if machine.root else ["it takes root"]
    why += [f"there is no {', '.join(absent)}"] if absent else []
    why += [] if machine.plugins else [f"there are no CNI plugins ({', '.join(_PLUGINS)})"]
    why += _cgroup_trouble(machine)
    if not why and not machine.namespaces(machine.program("unshare")):
        why = ["root may not make namespaces here (a container must be privileged)"]
    packages = [*dict.fromkeys(absent.values()), *([] if machine.plugins else ["containernetworking-plugins"])]
    return why, packages


def _cgroup_trouble(machine: Machine) -> list[str]:
    root = machine.cgroups
    if machine.unified:
        there = (root / "cgroup.controllers").read_text().split()
    else:
        there = [name for name in _CONTROLLERS if (root / name).is_dir()]
    lacking = [name for name in _CONTROLLERS if name not in there]
    if lacking:
        return [f"{root} has no control groups for {', '.join(lacking)}"]
    if machine.root and not os.access(root, os.W_OK):
        return [f"{root} cannot be written"]
    if machine.unified and _occupied(root, _CONTROLLERS):
        return [f"{root} belongs to a container and cannot be divided (start that container with --cgroupns=host)"]
    return []


def _occupied(root: Path, controllers: tuple[str, ...]) -> bool:
    """Whether version 2 would refuse to hand controllers down: below the real root, only a group without processes may.

    The real root is the one without a cgroup.type.
    """
    handed_down = (root / "cgroup.subtree_control").read_text().split()
    own = not (root / "cgroup.type").exists()
    return not own and not set(controllers) <= set(handed_down) and bool((root / "cgroup.procs").read_text())


def _remedy(packages: list[str]) -> str:
    install = f", after: apt-get install {' '.join(packages)}" if packages else ""
    return f"Run it as root{install}; everything but the node works without."

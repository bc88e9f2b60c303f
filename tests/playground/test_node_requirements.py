"""A machine that cannot be a node is told everything that is missing, by name, with the way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.errors import BadSetting
from playground.node.requirements import Machine, require_node

pytestmark = pytest.mark.pure

PROGRAMS = (
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "ip",
    "ldd",
    "mount",
    "nsenter",
    "setpriv",
    "unshare",
)


def machine(folder: Path, *, without: str = "", root: bool = True, version: int = 2, allowed: bool = True) -> Machine:
    """A machine that has everything but what is left out."""
    for name in PROGRAMS:
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        if name != without:
            program.touch(mode=0o755)
    plugins = folder / "cni"
    plugins.mkdir()
    for name in ("bridge", "host-local", "loopback"):
        if name != without:
            (plugins / name).touch()
    return Machine(
        platform="linux",
        root=root,
        search_path=str(folder / "bin"),
        plugin_folders=(plugins,),
        cgroups=cgroups(folder / "cgroup", version, without),
        namespaces=lambda _: allowed,
    )


def cgroups(folder: Path, version: int, without: str) -> Path:
    controllers = [name for name in ("cpu", "memory", "pids") if name != without]
    folder.mkdir()
    if version == 1:
        for name in controllers:
            (folder / name).mkdir()
    else:
        (folder / "cgroup.controllers").write_text(" ".join(controllers))
        (folder / "cgroup.subtree_control").write_text("")
        (folder / "cgroup.procs").write_text("1\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_a_machine_that_has_everything_is_taken(tmp_path: Path, version: int) -> None:
    """With either version of control groups."""
    judged = require_node(machine(tmp_path, version=version))

    assert judged.program("runc") == str(tmp_path / "bin" / "runc")
    assert judged.plugins == tmp_path / "cni"
    assert judged.unified == (version == 2)


@pytest.mark.parametrize(
    ("without", "said", "remedy"),
    [
        pytest.param("runc", "there is no runc", "apt-get install runc", id="runc comes with a package of its own"),
        pytest.param("ctr", "there is no ctr", "apt-get install containerd;", id="ctr comes with containerd"),
        pytest.param("ip", "there is no ip", "apt-get install iproute2", id="ip comes with iproute2"),
        pytest.param("bridge", "no CNI plugins", "apt-get install containernetworking-plugins", id="one plugin is out"),
        pytest.param("memory", "no control groups for memory", "as root", id="limits could not be kept"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_missing_is_named(tmp_path: Path, without: str, said: str, remedy: str, version: int) -> None:
    """The message has its name, the remedy has the package."""
    with pytest.raises(BadSetting) as refused:
        require_node(machine(tmp_path, without=without, version=version))

    assert said in refused.value.message
    assert remedy in refused.value.remedy


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """Who has none of it learns so in one line, with one command."""
    empty = Machine("linux", False, str(tmp_path), (tmp_path,), cgroups(tmp_path / "c", 2, ""), lambda _: True)

    with pytest.raises(BadSetting) as refused:
        require_node(empty)

    assert "it takes root; there is no containerd" in refused.value.message
    assert "containerd runc" in refused.value.remedy
    assert "containernetworking-plugins" in refused.value.remedy
    assert "\n" not in str(refused.value)


def test_a_container_that_may_not_make_namespaces_is_refused(tmp_path: Path) -> None:
    """Root in a container that is not privileged looks like root, but is not."""
    with pytest.raises(BadSetting, match="may not make namespaces"):
        require_node(machine(tmp_path, allowed=False))


def test_a_container_whose_control_groups_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    """Version 2 hands no controller down from a group with processes, except at the real root."""
    judged = machine(tmp_path)
    (judged.cgroups / "cgroup.type").write_text("domain")

    with pytest.raises(BadSetting, match="cannot be divided"):
        require_node(judged)


def test_another_operating_system_is_refused(tmp_path: Path) -> None:
    """A kubelet runs on Linux."""
    away = Machine("darwin", True, str(tmp_path), (), tmp_path, lambda _: True)

    with pytest.raises(BadSetting, match="not on darwin"):
        require_node(away)

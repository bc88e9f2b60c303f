"""Control groups of a node are below one name, in either version, and are all removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.node import cgroups

pytestmark = pytest.mark.pure

NAME = "tinker-playground-0"


class Clock:
    """Time passes only while somebody pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def first_version(root: Path) -> Path:
    for controller in ("cpuset", "memory"):
        (root / controller).mkdir(parents=True)
        (root / controller / "cgroup.procs").touch()
    (root / "cpuset" / "cpuset.cpus").write_text("0-1")
    (root / "cpu").symlink_to("cpuset")
    return root


def test_version_1_gets_one_group_per_controller(tmp_path: Path) -> None:
    """A controller's second name is passed over; what is no controller is left alone."""
    root = first_version(tmp_path / "cgroup")
    (root / "other").mkdir()

    cgroups.make(NAME, root)

    assert {path.parent.name for path in cgroups.remains(NAME, root)} == {"cpuset", "memory"}


def test_version_2_gets_one_group_that_may_hand_down(tmp_path: Path) -> None:
    """Every controller that is there is asked for; the group itself is one folder."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")

    cgroups.make(NAME, tmp_path)

    assert cgroups.remains(NAME, tmp_path) == [tmp_path / NAME]
    assert (tmp_path / NAME / "cgroup.subtree_control").read_text() == "+memory"


@pytest.mark.parametrize("hierarchy", [".", "memory"])
def test_all_of_them_are_removed(tmp_path: Path, hierarchy: str) -> None:
    """Groups of containers first, then the one they are in."""
    (tmp_path / hierarchy / NAME / "container" / "inner").mkdir(parents=True)
    (tmp_path / hierarchy / "another").mkdir()

    assert cgroups.remove(NAME, 1.0, root=tmp_path)
    assert cgroups.remains(NAME, tmp_path) == []
    assert (tmp_path / hierarchy / "another").exists()


def test_a_group_that_stays_occupied_is_given_up_in_time(tmp_path: Path) -> None:
    """Who waits for it learns that it is still there."""
    occupied = tmp_path / "memory" / NAME
    occupied.mkdir(parents=True)
    (occupied / "process").touch()
    clock = Clock()

    assert not cgroups.remove(NAME, 1.0, root=tmp_path, monotonic=clock, pause=clock.pause)
    assert clock.now == pytest.approx(1.0, abs=0.1)

"""Carrying a declaration out: only after a yes, only what was shown, and nothing where nothing changes."""

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from rich.console import Console
from tests.plugin import lab

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kube_errors import WriteConflict
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.declared import (
    LOOKS,
    Declared,
    asked_of_a_person,
    declare,
    declare_by_name,
    show_declared,
)
from tinker_operator.plugin.declaring import Declaration, suspension
from tinker_operator.plugin.endings import Declined

pytestmark = pytest.mark.pure


@dataclass
class Desk:
    """A cluster that remembers what it was asked to change."""

    asked: list[tuple[str, Mapping[str, object], bool]] = field(default_factory=list)
    conflicts: int = 0
    looks: int = 0

    async def one(self, _resource: Resource, _model: object, _name: str) -> TrainingRun:
        self.looks += 1
        return lab.live()

    async def changed(
        self, resource: Resource, one: TrainingRun, changes: Mapping[str, object], *, dry_run: bool
    ) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise WriteConflict("It changed.", "x")
        self.asked.append((f"{resource.kind} {one.metadata.name}", changes, dry_run))


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def no(_: str) -> bool:
    return False


def nobody(_: str) -> bool:
    raise AssertionError("nobody is to be asked")


async def declared(desk: Desk, declaration: Declaration, confirm: Any, *, dry_run: bool = False) -> Declared:
    return await declare(cast("Cluster", desk), TRAINING_RUNS, lab.live(), declaration, confirm, dry_run=dry_run)


def suspended(one: TrainingRun | CheckpointPolicy) -> Declaration:
    return suspension(one, suspend=True)


async def by_name(desk: Desk, confirm: Any) -> Declared:
    return await declare_by_name(cast("Cluster", desk), TRAINING_RUNS, "math-sft", suspended, confirm, dry_run=False)


async def test_a_write_of_the_operator_in_between_is_nothing_to_tell_a_person() -> None:
    """The object is looked at again, and the change made of what it is then."""
    desk = Desk(conflicts=2)
    assert (await by_name(desk, None)).changes
    assert (desk.looks, desk.asked) == (3, [("TrainingRun math-sft", {"spec": {"suspend": True}}, False)])


async def test_an_object_that_changes_all_the_time_is_told_of_at_last() -> None:
    desk = Desk(conflicts=100)
    with pytest.raises(WriteConflict):
        await by_name(desk, None)
    assert (desk.looks, desk.asked) == (LOOKS, [])


async def test_what_a_person_confirmed_is_not_made_of_something_else() -> None:
    desk = Desk(conflicts=1)
    with pytest.raises(WriteConflict):
        await by_name(desk, lambda _: True)
    assert (desk.looks, desk.asked) == (1, [])


async def test_without_a_yes_nothing_changes() -> None:
    desk = Desk()
    with pytest.raises(Declined, match="nothing was changed"):
        await declared(desk, suspension(lab.live(), suspend=True), no)
    assert desk.asked == []


async def test_what_is_confirmed_is_what_changes() -> None:
    desk, shown = Desk(), list[str]()

    def yes(question: str) -> bool:
        shown.append(question)
        return True

    told = await declared(desk, suspension(lab.live(), suspend=True), yes)
    assert desk.asked == [("TrainingRun math-sft", {"spec": {"suspend": True}}, False)]
    assert "spec.suspend: false → true" in shown[0]
    out = io.StringIO()
    show_declared(told, Console(file=out, width=80))
    assert "spec.suspend: false → true" in out.getvalue()


async def test_a_dry_run_asks_nobody_and_says_so() -> None:
    desk, out = Desk(), io.StringIO()
    told = await declared(desk, suspension(lab.live(), suspend=True), nobody, dry_run=True)
    assert [dry for _, _, dry in desk.asked] == [True]
    show_declared(told, Console(file=out, width=80))
    assert "Nothing was changed" in out.getvalue()


async def test_what_is_so_already_is_left_alone() -> None:
    desk, out = Desk(), io.StringIO()
    told = await declared(desk, suspension(lab.live(), suspend=False), nobody)
    assert (desk.asked, told.changes) == ([], ())
    show_declared(told, Console(file=out, width=80))
    assert "is so already" in out.getvalue()


@pytest.mark.parametrize(
    ("typed", "confirmed"), [("y\n", True), ("n\n", False), ("\n", False)], ids=["y", "n", "enter"]
)
def test_a_person_who_says_nothing_has_not_said_yes(
    typed: str, confirmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert asked_of_a_person("Go?") is confirmed

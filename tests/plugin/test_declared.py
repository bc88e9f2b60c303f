"""Carrying a declaration out: only after a yes, only what was shown, and nothing where nothing changes."""

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from rich.console import Console
from tests.plugin import lab

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import Resource
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.declared import Declared, asked_of_a_person, declare, show_declared
from tinker_operator.plugin.declaring import Declaration, suspension
from tinker_operator.plugin.endings import Declined

pytestmark = pytest.mark.pure


@dataclass
class Desk:
    """A cluster that remembers what it was asked to change."""

    asked: list[tuple[str, Mapping[str, object], bool]] = field(default_factory=list)

    async def changed(
        self, resource: Resource, one: TrainingRun, changes: Mapping[str, object], *, dry_run: bool
    ) -> None:
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

"""Watching a status: trouble of the API server is shown in its place, and passes."""

import asyncio
import io
from dataclasses import dataclass, field
from typing import cast

import pytest
from rich.console import Console
from rich.live import Live
from tests.plugin import lab

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.engine.kube_errors import KubeUnavailable
from tinker_operator.plugin import status_command
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.status_report import StatusReport

pytestmark = pytest.mark.pure
TROUBLE = KubeUnavailable("The API server did not answer.", "It is tried again.")


@dataclass
class Flaky:
    """A cluster that does not answer the first look."""

    unreadable: set[str] = field(default_factory=set)
    looks: int = 0

    async def training_runs(self, _: str | None) -> tuple[TrainingRun, ...]:
        self.looks += 1
        if self.looks == 1:
            raise TROUBLE
        return (lab.live(),)

    async def policies(self, _: str | None) -> tuple[CheckpointPolicy, ...]:
        return ()


async def test_a_look_that_fails_is_told_and_followed_by_another() -> None:
    seen: list[StatusReport | KubeUnavailable] = []

    def show(told: StatusReport | KubeUnavailable) -> None:
        seen.append(told)
        if len(seen) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await status_command._watched(cast("Cluster", Flaky()), "lab", None, 0, show)
    failed, told = seen
    assert failed is TROUBLE
    assert isinstance(told, StatusReport)
    assert [line.name for line in told.training_runs] == ["math-sft"]


def test_the_screen_is_drawn_anew_and_trouble_stands_in_its_place() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=40, force_terminal=True, highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        status_command._drawn(live, lab.report())
        first = len(out.getvalue())
        assert "keep-what-counts" in out.getvalue()
        status_command._drawn(live, TROUBLE)
    assert "The API server did not answer." in out.getvalue()[first:]
    assert "keep-what-counts" not in out.getvalue()[first:]

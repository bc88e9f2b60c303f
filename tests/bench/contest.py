"""Lets contenders do the same job in turn, each time in a new process, and holds them to the same result."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
from tests.bench.outcome import Outcome, Series, Untrue

REPOSITORY = Path(__file__).parents[2]
OURS = "tinker-operator"
CHILD_SECONDS = 900


def heed_signals() -> None:
    """Lets SIGTERM end a program as Ctrl-C does: everything that was started is ended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def conclude(outcome: Outcome, output: Path) -> NoReturn:
    """Ends a program: its outcome is saved, its claims are told, and the exit status is 1 where one does not hold."""
    outcome.write(output)
    for claim in outcome.claims:
        click.echo(f"{'holds' if claim.holds else 'FALSE'}: {claim.text}")
    sys.exit(0 if all(claim.holds for claim in outcome.claims) else 1)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do a job.

    Attributes:
        name: As it is shown.
        module: What is run as a program.
        argument: What it is told, by the number of the repetition.
    """

    name: str
    module: str
    argument: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Contest:
    """A job and who does it.

    Attributes:
        job: As it is shown.
        contenders: Who does it; the first is ours.
        check: Told what a contender found; raises Untrue.
        environ: Added to the environment.
        after: Called after each turn with the number of the repetition; what it returns is added to the values.
    """

    job: str
    contenders: Sequence[Contender]
    check: Callable[[Any], None]
    environ: Mapping[str, str]
    after: Callable[[int], Mapping[str, float]]

    def held(self, repetitions: int, draw: random.Random) -> list[Series]:
        """Has every contender do the job so often, in an order drawn anew for each repetition."""
        gathered: dict[str, dict[str, list[float]]] = {one.name: {} for one in self.contenders}
        for repetition in range(repetitions):
            for contender in draw.sample(self.contenders, len(self.contenders)):
                for quantity, value in self._turn(contender, repetition).items():
                    gathered[contender.name].setdefault(quantity, []).append(value)
        return [Series(self.job, name, values) for name, values in gathered.items()]

    def _turn(self, contender: Contender, repetition: int) -> dict[str, float]:
        answer = self._answer(contender, repetition)
        self.check(answer["found"])
        return {**answer["cost"], **self.after(repetition)}

    def _answer(self, contender: Contender, repetition: int) -> dict[str, Any]:
        child = subprocess.run(
            [sys.executable, "-m", contender.module, contender.argument(repetition)],
            cwd=REPOSITORY,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
        if child.returncode != 0:
            raise Untrue(f"{contender.name} failed at {self.job}: {child.returncode}, {child.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
        return answer

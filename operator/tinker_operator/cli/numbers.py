"""Numbers of the command line."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A number between two others; `nan` is none, though click would take it: it is neither too low nor too high."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the number; tells click's usage error of what is none, of nan, and of what lies outside."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number

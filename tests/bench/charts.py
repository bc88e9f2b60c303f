"""Bars as SVG: the few shapes that the bench needs, readable on a light and on a dark page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT = 900, 310, 130
_TOP, _BAR, _GAP, _FOOT = 64, 20, 18, 44
_COLOURS = ("#2f6fb3", "#e0912f", "#7a9a3a", "#8c8c8c")
_STEPS = (1, 2, 2.5, 5, 10)
_TICKS = 6
_HALO = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: What its colour means.
        value: Its length.
        text: What stands at its end.
    """

    label: str
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that belong together.

    Attributes:
        label: What stands left of them.
        bars: From top to bottom.
    """

    label: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Chart:
    """Groups of bars over one axis, from 0 or from a power of ten.

    Attributes:
        title: What is shown.
        axis: What the axis counts.
        groups: From top to bottom.
        mark: A value with a line across, None for none.
        decades: Whether equal lengths are equal factors; the axis begins at a power of ten below the least value.
    """

    title: str
    axis: str
    groups: Sequence[Group]
    mark: float | None = None
    decades: bool = False

    def svg(self) -> str:
        """Returns the picture."""
        body = [_text(16, 26, self.title, size=16), *self._legend(), *self._axis(), *self._bars()]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{self._bottom + _FOOT}" '
            f'viewBox="0 0 {_WIDTH} {self._bottom + _FOOT}" font-family="sans-serif">'
        )
        return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *body, "</svg>", ""])

    @property
    def _labels(self) -> list[str]:
        return list(dict.fromkeys(bar.label for group in self.groups for bar in group.bars))

    @property
    def _bottom(self) -> int:
        return _TOP + sum(len(group.bars) * _BAR + _GAP for group in self.groups)

    @property
    def _values(self) -> list[float]:
        return [bar.value for group in self.groups for bar in group.bars] + ([self.mark] if self.mark else [])

    @property
    def _most(self) -> float:
        return max(*self._values, 1e-9)

    @property
    def _first(self) -> float:
        """Where an axis of decades begins; nothing is shorter than the first of them."""
        least = min((value for value in self._values if value > 0), default=1.0)
        return 10.0 ** (math.ceil(math.log10(least)) - 1)

    @property
    def _ticks(self) -> list[float]:
        """Powers of ten, or round numbers of which there are at most six above 0."""
        if self.decades:
            ends = [round(math.log10(self._first)), math.floor(math.log10(max(self._most, self._first)))]
            return [10.0**power for power in range(ends[0], ends[1] + 1)]
        power = 10.0**-6
        while self._most / (10 * power) > _TICKS:
            power *= 10
        step = next(step * power for step in _STEPS if self._most / (step * power) <= _TICKS)
        return [round(number * step, 9) for number in range(_TICKS + 1) if number * step <= self._most * 1.001]

    def _x(self, value: float) -> float:
        part = value / self._most
        if self.decades:
            first = self._first
            part = math.log(max(value, first) / first) / math.log(max(self._most, 10 * first) / first)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * part

    def _legend(self) -> list[str]:
        parts, place = [], _LEFT
        for number, label in enumerate(self._labels):
            parts.append(f'<rect x="{place}" y="40" width="12" height="12" fill="{_COLOURS[number]}"/>')
            parts.append(_text(place + 17, 50, label))
            place += 40 + 7 * len(label)
        return parts

    def _axis(self) -> list[str]:
        parts = []
        for value in self._ticks:
            parts.append(_line(self._x(value), "#dddddd"))
            parts.append(_text(self._x(value), self._bottom + 14, f"{value:g}", "middle"))
        parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, self._bottom + 32, self.axis, "middle"))
        if self.mark is not None:
            parts.append(_line(self._x(self.mark), "#333333"))
        return [part.replace("BOTTOM", str(self._bottom)) for part in parts]

    def _bars(self) -> list[str]:
        parts, y = [], _TOP
        for group in self.groups:
            parts.append(_text(_LEFT - 10, y + len(group.bars) * _BAR / 2 + 4, group.label, "end"))
            for bar in group.bars:
                width = max(1.0, self._x(bar.value) - _LEFT)
                colour = _COLOURS[self._labels.index(bar.label)]
                parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 3}" fill="{colour}"/>')
                parts.append(_text(_LEFT + width + 6, y + 13, bar.text))
                y += _BAR
            y += _GAP
        return parts


def _text(x: float, y: float, text: str, anchor: str = "start", *, size: int = 12) -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="#222222" {_HALO}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _line(x: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="BOTTOM" stroke="{colour}"/>'

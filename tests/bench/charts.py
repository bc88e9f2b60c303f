"""Bars as SVG: the few shapes that the bench needs, readable on a light and on a dark page."""

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
    """Groups of bars over one axis from 0.

    Attributes:
        title: What is shown.
        axis: What the axis counts.
        groups: From top to bottom.
        mark: A value with a line across, None for none.
    """

    title: str
    axis: str
    groups: Sequence[Group]
    mark: float | None = None

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
    def _tick(self) -> float:
        """The distance of ticks: a round number that gives at most six of them."""
        most = max(self.mark or 0.0, *(bar.value for group in self.groups for bar in group.bars), 1e-9)
        power = 10.0**-6
        while most / (10 * power) > _TICKS:
            power *= 10
        return next(step * power for step in _STEPS if most / (step * power) <= _TICKS)

    def _x(self, value: float) -> float:
        most = max(self.mark or 0.0, *(bar.value for group in self.groups for bar in group.bars), 1e-9)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / most

    def _legend(self) -> list[str]:
        parts, place = [], _LEFT
        for number, label in enumerate(self._labels):
            parts.append(f'<rect x="{place}" y="40" width="12" height="12" fill="{_COLOURS[number]}"/>')
            parts.append(_text(place + 17, 50, label))
            place += 40 + 7 * len(label)
        return parts

    def _axis(self) -> list[str]:
        parts, value = [], 0.0
        while self._x(value) <= _WIDTH - _RIGHT + 0.5:
            x = self._x(value)
            parts.append(_line(x, "#dddddd"))
            parts.append(_text(x, self._bottom + 14, f"{value:g}", "middle"))
            value = round(value + self._tick, 9)
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

"""Draws a dashboard as SVG from its JSON and from Prometheus' answers: places, titles, units and bounds are its own.

It is what Grafana would show and not what Grafana has drawn.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from tests.dashboard.answers import Line, Point

COLUMN, ROW, GAP, HEAD, ROW_HEAD = 54, 34, 8, 64, 36
COLOURS: Final = (
    "#73bf69", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#fade2a", "#8ab8ff", "#ff7383", "#96d98d", "#ca95e5",
)  # fmt: skip
NAMED: Final = {"green": "#73bf69", "red": "#f2495c", "text": "#ccccdc"}
LEFT, RIGHT, TOP, LEGEND_LINE, LETTER = 66, 12, 34, 15, 6.6
_SIZES: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_STEPS: Final = (1, 2, 2.5, 5, 10)


def drawn(dashboard: Mapping[str, Any], answers: Sequence[Sequence[Line]], start: float, end: float) -> str:
    """Returns the picture.

    Args:
        dashboard: Grafana's JSON.
        answers: The series of each panel that is no row, in order.
        start: Time at the left edge, in seconds since 1970.
        end: Time at the right edge.
    """
    given = iter(answers)
    boxes = [_box(panel, None if panel["type"] == "row" else next(given), start, end) for panel in dashboard["panels"]]
    low = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    width, height = 24 * COLUMN + 2 * GAP, HEAD + low * ROW + GAP
    title = _text(GAP + 6, 32, dashboard["title"], 20, "#e8e8f0", "600")
    subtitle = _text(GAP + 6, 51, dashboard["description"], 12, "#9a9aa8")
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Inter, Helvetica, Arial, sans-serif">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#111217"/>'
    return "\n".join([frame, ground, title, subtitle, *boxes, "</svg>", ""])


def _box(panel: Mapping[str, Any], series: Sequence[Line] | None, start: float, end: float) -> str:
    place = panel["gridPos"]
    x, y = GAP + place["x"] * COLUMN, HEAD + place["y"] * ROW
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    if series is None:
        return _text(x + 6, y + 20, f"⌄ {panel['title']}", 15, "#e8e8f0", "600")
    inside = _number(panel, series, width, height) if panel["type"] == "stat" else ""
    if not inside:
        inside = _chart(panel, series, (start, end), (width, height)) if series else _nothing(width, height)
    frame = f'<rect width="{width}" height="{height}" rx="3" fill="#181b1f" stroke="#2c2f36"/>'
    return f'<g transform="translate({x},{y})">{frame}{_text(10, 21, panel["title"], 13, "#ccccdc", "600")}{inside}</g>'


def _nothing(width: float, height: float) -> str:
    return _text(width / 2, height / 2 + 8, "No data", 13, "#6e7080", anchor="middle")


def _number(panel: Mapping[str, Any], series: Sequence[Line], width: float, height: float) -> str:
    if not series:
        return _nothing(width, height)
    value = series[0].points[-1][1]
    colour = NAMED["text"]
    for step in _steps(panel):
        if step.get("value") is None or value >= step["value"]:
            colour = NAMED[step["color"]]
    return _text(width / 2, height / 2 + 24, shown(value, panel), 38, colour, "500", "middle")


def _steps(panel: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    return steps


def shown(value: float, panel: Mapping[str, Any]) -> str:
    """Returns a value in the panel's unit, short."""
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    if unit == "s":
        return _seconds(value)
    size, letter = next(((size, letter) for size, letter in _SIZES if value >= size), (1.0, ""))
    ends = {"bytes": f" {letter}B", "reqps": f"{letter} req/s", "ops": f"{letter} ops/s"}
    return f"{value / size:.3g}{ends.get(unit, letter)}"


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    for size, name in ((86400, "d"), (3600, "h"), (120, "min")):
        if value >= size:
            return f"{value / (60 if name == 'min' else size):.3g} {name}"
    return f"{value:.3g} s"


def _chart(panel: Mapping[str, Any], series: Sequence[Line], times: Point, size: Point) -> str:
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    legend, rows = _legend(series, size[0])
    left, right, top = LEFT, size[0] - RIGHT, TOP
    bottom = size[1] - 26 - rows * LEGEND_LINE
    paths = _stacked(series) if stacked else [(line.points, None) for line in series]
    step = _step(max((value for points, _ in paths for _, value in points), default=1.0))
    count = max(1, math.ceil(max((value for points, _ in paths for _, value in points), default=1.0) / step - 1e-9))

    def at(point: Point) -> str:
        across = left + (right - left) * (point[0] - times[0]) / (times[1] - times[0])
        return f"{across:.1f},{bottom - (bottom - top) * min(point[1] / (step * count), 1.05):.1f}"

    parts = []
    for number in range(count + 1):
        y = bottom - (bottom - top) * number / count
        parts += [f'<path d="M{left} {y:.1f}H{right}" stroke="#2c2f36"/>']
        parts += [_text(left - 6, y + 4, shown(step * number, panel), 10.5, "#9a9aa8", anchor="end")]
    parts += _clock(times, left, right, bottom)
    for number, (points, floor) in enumerate(paths):
        colour, way = COLOURS[number % len(COLOURS)], " ".join(at(point) for point in points)
        if floor is not None:
            back = " ".join(at(point) for point in reversed(floor))
            parts += [f'<polygon points="{way} {back}" fill="{colour}" fill-opacity="0.3"/>']
        parts += [f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for bound in _steps(panel):
        if (bound.get("value") or math.inf) <= step * count:
            height = at((times[0], bound["value"])).partition(",")[2]
            parts += [f'<path d="M{left} {height}H{right}" stroke="{NAMED[bound["color"]]}" stroke-dasharray="4"/>']
    return "".join(parts) + f'<g transform="translate(0,{size[1] - rows * LEGEND_LINE + 3:.1f})">{legend}</g>'


def _step(highest: float) -> float:
    if highest <= 0:
        return 1.0
    rough = highest / 4
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))


def _clock(times: Point, left: float, right: float, bottom: float) -> list[str]:
    places = [(times[0] + (times[1] - times[0]) * share, left + (right - left) * share) for share in (0, 0.5, 1)]
    told = [(datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S"), x) for time, x in places]
    anchors = ("start", "middle", "end")
    return [
        _text(x, bottom + 14, text, 10.5, "#9a9aa8", anchor=one) for (text, x), one in zip(told, anchors, strict=True)
    ]


def _stacked(series: Sequence[Line]) -> list[tuple[tuple[Point, ...], tuple[Point, ...] | None]]:
    """Puts each on what is below it, at each time; one without a value adds nothing."""
    times = sorted({time for line in series for time, _ in line.points})
    floor = dict.fromkeys(times, 0.0)
    found: list[tuple[tuple[Point, ...], tuple[Point, ...] | None]] = []
    for line in series:
        values = dict(line.points)
        roof = {time: floor[time] + values.get(time, 0.0) for time in times}
        found.append((tuple(roof.items()), tuple(floor.items())))
        floor = roof
    return found


def _legend(series: Sequence[Line], width: float) -> tuple[str, int]:
    """Returns the names in rows, as many as there is space for, and how many rows."""
    parts: list[str] = []
    x, row = 10.0, 0
    for number, line in enumerate(series):
        long = 24 + LETTER * len(line.name)
        if x + long > width and x > 10:
            x, row = 10.0, row + 1
        parts.append(
            f'<rect x="{x:.0f}" y="{row * LEGEND_LINE - 6}" width="12" height="3" fill="{COLOURS[number % 10]}"/>'
        )
        parts.append(_text(x + 16, row * LEGEND_LINE, line.name, 11, "#ccccdc"))
        x += long
    return "".join(parts), row + 1


def _text(  # noqa: PLR0917 - where, what, how
    x: float, y: float, text: str, size: float, colour: str, weight: str = "400", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )

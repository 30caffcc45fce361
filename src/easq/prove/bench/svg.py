"""The bench's figures as SVG, for pages that run no script: dots with intervals, and points joined by method.

Colours are those of the report (report/draw.py) and legible on white and on near-black.
"""

from collections.abc import Mapping, Sequence
from html import escape

from easq.prove.bench.compare import Gain
from easq.prove.report.draw import GREY, run_color

_LINE, _LEFT, _WIDE, _RIGHT, _TOP, _HIGH = 20, 260, 420, 40, 46, 380
Points = Sequence[tuple[float, float]]


def dots(title: str, unit: str, rows: Mapping[str, Mapping[str, Gain]]) -> str:
    """Return gains by row and series, each a dot over its interval."""
    gains = [gain for row in rows.values() for gain in row.values()]
    ends = [x for g in gains for x in (g.value, g.low, g.high) if x is not None]
    scale = _Scale(min([0.0, *ends]), max([0.0, *ends]), _LEFT, _WIDE)
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    height = _TOP + _LINE * len(rows) + 34
    parts = [*_head(title, series, height), _vertical(scale(0.0), _TOP, height - 30)]
    for number, (name, row) in enumerate(rows.items()):
        y = _TOP + _LINE * number + _LINE / 2
        parts.append(_text(_LEFT - 10, y + 4, name, "end"))
        for gain_name, gain in row.items():
            place = series.index(gain_name)
            at, color = y + 6 * (place - (len(series) - 1) / 2), run_color(place)
            if gain.low is not None and gain.high is not None:
                parts.append(_line(scale(gain.low), at, scale(gain.high), at, color))
            parts.append(_dot(scale(gain.value), at, color))
    parts += [_text(scale(x), height - 16, f"{x:+.3g}", "middle") for x in scale.ticks()]
    return _whole([*parts, _text(_LEFT + _WIDE / 2, height - 2, unit, "middle")])


def lines(title: str, x_unit: str, y_unit: str, series: Mapping[str, Points]) -> str:
    """Return points of each series, joined in their order."""
    points = [point for found in series.values() for point in found]
    across = _Scale(min([0.0, *(x for x, _ in points)]), max([0.0, *(x for x, _ in points)]), 70, 560)
    lows, highs = min([0.0, *(y for _, y in points)]), max([0.0, *(y for _, y in points)])
    top = _TOP + 18 * (-(-len(series) // 4))
    up = _Scale(lows, highs, top + _HIGH, -_HIGH)
    parts = [*_head(title, list(series), top + _HIGH + 50)]
    parts += [_vertical(across(0.0), top, top + _HIGH), _line(70, up(0.0), 630, up(0.0), GREY, 1)]
    for number, (name, found) in enumerate(series.items()):
        color = run_color(number)
        # Colours come again after six, so each line also bears its name.
        parts.append(_text(across(found[0][0]) + 6, up(found[0][1]) - 6, name, "start"))
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in found)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [_dot(across(x), up(y), color) for x, y in found]
    parts += [_text(across(x), top + _HIGH + 18, f"{x:.2g}", "middle") for x in across.ticks()]
    parts += [_text(62, up(y) + 4, f"{y:.2g}", "end") for y in up.ticks()]
    parts.append(_text(350, top + _HIGH + 36, f"across: {x_unit}; up: {y_unit}", "middle"))
    return _whole(parts)


class _Scale:
    """Values to pixels, with a little room at both ends."""

    def __init__(self, low: float, high: float, start: float, length: float) -> None:
        room = 0.05 * (high - low) or 1.0
        self._low, self._span = low - room, high - low + 2 * room
        self._start, self._length = start, length

    def __call__(self, value: float) -> float:
        return self._start + self._length * (value - self._low) / self._span

    def ticks(self) -> list[float]:
        return [self._low + self._span * part / 8 for part in (1, 3, 5, 7)]


def _head(title: str, series: Sequence[str], height: float) -> list[str]:
    width = _LEFT + _WIDE + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, name in enumerate(series):
        x, y = 14 + 175 * (number % 4), 36 + 18 * (number // 4)
        parts += [_dot(x, y - 4, run_color(number)), _text(x + 10, y, name, "start")]
    return parts


def _whole(parts: Sequence[str]) -> str:
    return "\n".join([*parts, "</svg>"]) + "\n"


def _dot(x: float, y: float, color: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, color: str, width: int = 2) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"/>'


def _vertical(x: float, top: float, bottom: float) -> str:
    return _line(x, top, x, bottom, GREY, 1)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

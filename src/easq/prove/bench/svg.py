"""The bench's figures as SVG, for pages that run no script: dots with intervals, and points joined by method.

Colors are those of the report (report/draw.py) and legible on white and on near-black. Colors repeat after
six series and marks after four, so twelve series are distinguishable.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from textwrap import wrap
from typing import NamedTuple

from easq.prove.bench.compare import Gain
from easq.prove.report.draw import GRAY, run_color, shortened

_WIDTH, _RIGHT, _HIGH = 720, 24, 340
_LETTER, _TEXT_LINE = 6.4, 14
_LONGEST_ROW, _LONGEST_NAME = 50, 100
_LINE, _LEAST_ROW = 8, 20
_SHADE = "#f4f4f4"
_STEPS = (1, 2, 5, 10)


class Point(NamedTuple):
    """A value against another, with the bounds of its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def dots(title: str, unit: str, rows: Mapping[str, Mapping[str, Gain]]) -> str:
    """Return gains by row and series, each a mark over its interval."""
    gains = [gain for row in rows.values() for gain in row.values()]
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    head, top = _head(title, series)
    names = [wrap(name, _LONGEST_ROW) or [""] for name in rows]
    left = 20 + _LETTER * max((len(line) for name in names for line in name), default=0)
    scale = _Scale([0.0, *_ends(gains)], left, _WIDTH - _RIGHT - left)
    row_height = max(_LEAST_ROW, _LINE * len(series) + 4, _TEXT_LINE * max(map(len, names), default=0) + 6)
    bottom = top + row_height * len(rows)
    parts = [
        f'<rect x="8" y="{top + row_height * number}" width="{_WIDTH - 16}" height="{row_height}" '
        f'fill="{_SHADE}"/>'
        for number in range(0, len(rows), 2)
    ]
    parts.append(_line(scale(0.0), top, scale(0.0), bottom, GRAY, 1))
    for number, (name, row) in enumerate(zip(names, rows.values(), strict=True)):
        y = top + row_height * (number + 0.5)
        for place, line in enumerate(name):
            parts.append(_text(left - 10, y + 4 + _TEXT_LINE * (place - (len(name) - 1) / 2), line, "end"))
        for gain_name, gain in row.items():
            place = series.index(gain_name)
            at, color = y + _LINE * (place - (len(series) - 1) / 2), run_color(place)
            if gain.low is not None and gain.high is not None:
                parts.append(_line(scale(gain.low), at, scale(gain.high), at, color))
            parts.append(_mark(scale(gain.value), at, place))
    parts += [_text(scale(x), bottom + 18, words, "middle") for x, words in scale.ticks()]
    parts.append(_text((left + _WIDTH - _RIGHT) / 2, bottom + 36, unit, "middle"))
    return _whole([*head, *parts], bottom + 46)


def lines(
    title: str, x_unit: str, y_unit: str, series: Mapping[str, Sequence[Point]], log: bool = False
) -> str:
    """Return points of each series, joined in their order; with `log` x goes by powers of ten."""
    points = [point for points_of in series.values() for point in points_of]
    xs, left = [point.x for point in points], 64
    head, legend = _head(title, list(series))
    top = legend + 30
    across = _Scale(xs if log else [0.0, *xs], left, _WIDTH - _RIGHT - left, log)
    up = _Scale([0.0, *_ends(points)], top + _HIGH, -_HIGH)
    parts = [_line(left, up(y), _WIDTH - _RIGHT, up(y), "#e4e4e4", 1) for y, _ in up.ticks()]
    parts.append(_line(left, up(0.0), _WIDTH - _RIGHT, up(0.0), GRAY, 1))
    if not log:
        parts.append(_line(across(0.0), top, across(0.0), top + _HIGH, GRAY, 1))
    for number, points_of in enumerate(series.values()):
        color = run_color(number)
        path = " ".join(f"{across(point.x):.1f},{up(point.y):.1f}" for point in points_of)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        for point in points_of:
            # Intervals at one x stand side by side.
            x = across(point.x) + 3 * (number - (len(series) - 1) / 2) * (point.low is not None)
            if point.low is not None and point.high is not None:
                parts.append(_line(x, up(point.low), x, up(point.high), color, 1))
            parts.append(_mark(x, up(point.y), number))
    parts += [_text(across(x), top + _HIGH + 18, words, "middle") for x, words in across.ticks()]
    parts += [_text(left - 8, up(y) + 4, words, "end") for y, words in up.ticks()]
    parts.append(_text((left + _WIDTH - _RIGHT) / 2, top + _HIGH + 38, x_unit, "middle"))
    parts.append(_text(8, top - 14, y_unit, "start"))
    return _whole([*head, *parts], top + _HIGH + 48)


def _ends(marks: Sequence[Gain] | Sequence[Point]) -> list[float]:
    """Return all values and bounds on the axis of gains."""
    values = [(one.value if isinstance(one, Gain) else one.y, one.low, one.high) for one in marks]
    return [end for ends in values for end in ends if end is not None]


class _Scale:
    """Values to pixels, with a little room at both ends."""

    def __init__(self, values: Sequence[float], start: float, length: float, log: bool = False) -> None:
        self._log = log
        low, high = min(map(self._place, values)), max(map(self._place, values))
        room = 0.05 * (high - low) or 1.0
        self._low, self._high = low - room, high + room
        self._start, self._length = start, length

    def __call__(self, value: float) -> float:
        return self._start + self._length * (self._place(value) - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return round values and how they are written."""
        if self._log:
            numbers = range(ceil(self._low), floor(self._high) + 1)
            if len(numbers) > 1:
                return [(10.0**n, f"1e{n}") for n in numbers]
            within = [m * 10.0**n for n in (floor(self._low), floor(self._high)) for m in range(1, 10)]
            chosen = [value for value in dict.fromkeys(within) if self._low <= log10(value) <= self._high]
            return [(value, f"{value:.1g}") for value in chosen]
        least = (self._high - self._low) / 6
        magnitude = 10.0 ** floor(log10(least))
        step = next(s for s in _STEPS if s * magnitude >= least * (1 - 1e-9)) * magnitude
        decimals = max(0, -floor(log10(step) + 1e-9))
        numbers = range(ceil(self._low / step), floor(self._high / step) + 1)
        return [(n * step, f"{n * step:.{decimals}f}") for n in numbers]

    def _place(self, value: float) -> float:
        return log10(value) if self._log else value


def _head(title: str, series: Sequence[str]) -> tuple[list[str], float]:
    """Return title and legend, and where what is below them begins."""
    parts = [f'<text x="8" y="18" font-size="14">{escape(title)}</text>']
    series = [shortened(name, _LONGEST_NAME) for name in series]
    column = 34 + _LETTER * max(map(len, series), default=0)
    columns = max(1, int((_WIDTH - 14) / column))
    for number, name in enumerate(series):
        x, y = 14 + column * (number % columns), 38 + 18 * (number // columns)
        parts += [_mark(x, y - 4, number), _text(x + 10, y, name, "start")]
    return parts, 40 + 18 * -(-len(series) // columns)


def _whole(parts: Sequence[str], height: float) -> str:
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{height:g}" fill="#fff"/>'
    )
    return "\n".join([start, *parts, "</svg>"]) + "\n"


def _circle(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"'


def _square(x: float, y: float) -> str:
    return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"'


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"'


def _triangle(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 8h-9z"'


_MARKS: tuple[Callable[[float, float], str], ...] = (_circle, _square, _diamond, _triangle)


def _mark(x: float, y: float, number: int) -> str:
    return f'{_MARKS[number % len(_MARKS)](x, y)} fill="{run_color(number)}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, color: str, width: int = 2) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

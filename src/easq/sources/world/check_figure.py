"""The check's table as a figure (SVG) and as Markdown.

A dot shows the distance of the simulated figure in units of the tolerance: from -1 to 1 is inside.
"""

from collections.abc import Sequence
from html import escape

from easq.sources.world.realism import CheckRow

_LINE, _LEFT, _WIDE, _RIGHT, _TOP = 15, 380, 300, 170, 30
_REACH = 2.0
_INSIDE, _OUTSIDE, _UNHELD = "#2a7", "#c33", "#999"


def number(value: float) -> str:
    """Return a figure with three digits, without an exponent.

    >>> number(0.0004), number(0.3481), number(8.96)
    ('.0004', '.348', '8.96')
    """
    digits = 2 if abs(value) >= 1 else 4 if abs(value) < 0.02 else 3
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def word(row: CheckRow) -> str:
    """Return whether a row is inside, outside, or not held."""
    return ("inside" if row.inside else "outside") if row.held else "not held"


def markdown(rows: Sequence[CheckRow]) -> str:
    """Return the table as Markdown."""
    lines = ["| figure | | real | simulated | tolerance | | source |", "|---|---|---|---|---|---|---|"]
    group = ""
    for row in rows:
        heading = "" if row.group == group else row.group
        group = row.group
        values = " | ".join(number(x) for x in (row.real, row.simulated, row.tolerance))
        lines.append(f"| {heading} | {row.name} | {values} | {word(row)} | {row.source} |")
    return "\n".join(lines)


def svg(rows: Sequence[CheckRow], title: str) -> str:
    """Return the table as a figure."""
    height, width = _TOP + _LINE * (len(rows) + 2), _LEFT + _WIDE + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="10"><rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="16" font-size="12">{escape(title)}</text>',
        _box(-1, 1, _TOP, _LINE * len(rows), "#e8f3ec"),
        _box(-0.005, 0.005, _TOP, _LINE * len(rows), "#888"),
    ]
    group = ""
    for n, row in enumerate(rows):
        y = _TOP + _LINE * n + 11
        # A figure far outside, or undefined in a short world, is drawn at the edge.
        off = max(-_REACH, min(_REACH, (row.simulated - row.real) / row.tolerance))
        color = _UNHELD if not row.held else _INSIDE if row.inside else _OUTSIDE
        heading = "" if row.group == group else escape(row.group)
        group = row.group
        values = f"{number(row.simulated)} / {number(row.real)} ±{number(row.tolerance)}"
        parts += [
            f'<text x="8" y="{y}" fill="#555">{heading}</text>'
            f'<text x="200" y="{y}">{escape(row.name)}</text>',
            f'<circle cx="{_x(off):.1f}" cy="{y - 3.5}" r="3.5" fill="{color}"/>',
            f'<text x="{_LEFT + _WIDE + 10}" y="{y}">{values}</text>',
        ]
    foot = _TOP + _LINE * len(rows) + 14
    for at in (-2, -1, 0, 1, 2):
        parts.append(f'<text x="{_x(at):.1f}" y="{foot}" text-anchor="middle" fill="#555">{at}</text>')
    parts.append(f'<text x="8" y="{foot}" fill="#555">distance in tolerances; right: simulated / real</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(off: float) -> float:
    return _LEFT + _WIDE * (off + _REACH) / (2 * _REACH)


def _box(start: float, stop: float, y: float, height: float, color: str) -> str:
    return (
        f'<rect x="{_x(start):.1f}" y="{y}" width="{_x(stop) - _x(start):.1f}" height="{height}" '
        f'fill="{color}"/>'
    )

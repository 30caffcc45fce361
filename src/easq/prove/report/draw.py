"""The drawing that all figures share: rows of dots with intervals, labeled lines, colors.

Grays are half transparent and every other color is legible on white and on near-black, so that a
page themes a figure by its font color alone.
"""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.report.estimates import Estimate
from easq.prove.report.scorers import EXPERT, MODEL, ORACLE, Scorer
from easq.prove.report.spread import spread

RUN_COLORS = ("#1a7bbd", "#D55E00", "#009E73", "#CC79A7", "#8c6bb1", "#7a7a00")
"""Okabe and Ito's color-blind-safe colors, as far as they are legible on light and dark."""
_OPTION_COLORS = ("#a6611a", "#b8864f", "#808080", "#3f9183", "#018571")
GRAY, FAINT, SHADE = "#808080", "rgba(128,128,128,0.22)", "rgba(128,128,128,0.08)"
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon", "triangle-down")
_REFERENCES = {"popularity": "diamond-tall-open", "random": "x-thin-open", ORACLE: "star-open"}
_LABEL_GAP, _LONGEST_LABEL, _LONGEST_NAME = 16, 16, 40
_PHONE = 330


def run_color(run: int) -> str:
    """Return the color of a run, the same in every figure."""
    return RUN_COLORS[run % len(RUN_COLORS)]


def run_symbol(run: int) -> str:
    """Return the marker of a run, the same in every figure."""
    return _SYMBOLS[run % len(_SYMBOLS)]


def option_color(number: int, count: int) -> str:
    """Return the color of an answer, from worst (brown) to best (teal)."""
    return _OPTION_COLORS[round(number * (len(_OPTION_COLORS) - 1) / max(1, count - 1))]


def literal(name: str, longest: int = _LONGEST_NAME) -> str:
    """Return a name escaped for plotly, and shortened if it is too long."""
    return escape(shortened(name, longest), quote=False)


def shortened(name: str, longest: int) -> str:
    """Return a name with its end cut off when it is too long.

    >>> shortened("satisfaction", 8)
    'satisfa…'
    """
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def blank(height: int, legend: bool = False) -> go.Figure:
    """Return an empty figure of a height in pixels, as wide as its place."""
    axis = {
        "gridcolor": FAINT,
        "zeroline": False,
        "title": {"standoff": 8, "font": {"size": 12}},
        "fixedrange": True,
    }
    return go.Figure(
        layout={
            "template": go.layout.Template(),
            "height": height,
            "autosize": True,
            "margin": {"l": 8, "r": 14, "t": 12, "b": 46},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 12},
            "showlegend": legend,
            "legend": {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"},
            "dragmode": False,
            "hovermode": "closest",
            "xaxis": {**axis, "nticks": 6, "tickangle": 0, "ticklabelstandoff": 4, "automargin": True},
            "yaxis": {**axis, "nticks": 6, "automargin": True},
        }
    )


def legend_height(names: Sequence[str]) -> int:
    """Return how many pixels a legend needs on a phone, where its columns are as wide as its longest name."""
    widest = max((min(len(name), _LONGEST_NAME) for name in names), default=0)
    columns = max(1, _PHONE // (48 + 7 * widest))
    return 19 * -(-len(names) // columns) + 8


def dots(
    figure: go.Figure, name: str, y: Sequence[float], estimates: Sequence[Estimate], style: str
) -> go.Scatter:
    """Add estimates with their intervals; `style` is a color and a marker with a space between."""
    color, symbol = style.split()
    open_line = 2 if "open" in symbol else 0
    above = [0.0 if e.high is None else max(0.0, e.high - e.value) for e in estimates]
    below = [0.0 if e.low is None else max(0.0, e.value - e.low) for e in estimates]
    error = {"type": "data", "array": above, "arrayminus": below, "thickness": 2, "width": 0, "color": color}
    trace = go.Scatter(
        x=[e.value for e in estimates],
        y=list(y),
        name=literal(name),
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 9, "line": {"width": open_line, "color": color}},
        error_x=error,
        hovertext=[estimate_text(e) for e in estimates],
        hovertemplate="%{hovertext}<extra>" + literal(name) + "</extra>",
    )
    figure.add_trace(trace)
    return figure.data[-1]


def scorer_style(scorer: Scorer) -> str:
    """Return color and marker: runs filled, their experts hollow, references gray."""
    if scorer.kind == MODEL:
        return f"{run_color(scorer.run)} {run_symbol(scorer.run)}"
    if scorer.kind == EXPERT:
        return f"{run_color(scorer.run)} {run_symbol(scorer.run)}-open"
    return f"{GRAY} {_REFERENCES.get(scorer.kind, 'cross-thin-open')}"


def estimate_text(e: Estimate, form: str = ".4f") -> str:
    """Return an estimate in words.

    >>> estimate_text(Estimate(0.5, 0.4, 0.6), ".2f"), estimate_text(Estimate(0.5, None, None), ".2f")
    ('0.50 (0.40 to 0.60)', '0.50 (no interval)')
    """
    bounds = "no interval" if e.low is None or e.high is None else f"{e.low:{form}} to {e.high:{form}}"
    return f"{e.value:{form}} ({bounds})"


def rows(figure: go.Figure, labels: Sequence[str], unit: str, longest: int = 24) -> go.Figure:
    """Make y a list of named rows, the first on top, every other one shaded."""
    for row in range(0, len(labels), 2):
        figure.add_hrect(y0=row - 0.5, y1=row + 0.5, fillcolor=SHADE, line_width=0, layer="below")
    names = [literal(label, longest) for label in labels]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, showgrid=False)
    figure.update_yaxes(range=[len(names) - 0.5, -0.5], ticklabelstandoff=6)
    return figure.update_xaxes(title_text=unit)


def line(
    figure: go.Figure, name: str, color: str, x: Sequence[float], y: Sequence[float], form: str
) -> go.Scatter:
    """Add a named line; `form` is the number format of its values."""
    hover = f"%{{y:{form}}}<extra>{literal(name)}</extra>"
    style = {"color": color, "width": 2}
    figure.add_trace(
        go.Scatter(x=list(x), y=list(y), name=literal(name), mode="lines", line=style, hovertemplate=hover)
    )
    return figure.data[-1]


def label_ends(figure: go.Figure, span: tuple[float, float]) -> go.Figure:
    """Label all lines at their ends, without overlap, on a y axis of the given span.

    Names too long for the margin go to a legend.
    """
    figure.update_yaxes(range=list(span))
    longest = max(len(trace.name) for trace in figure.data)
    if longest > _LONGEST_LABEL:
        names = [trace.name for trace in figure.data]
        return figure.update_layout(showlegend=True, height=figure.layout.height + legend_height(names))
    figure.update_layout(margin_r=18 + 7 * longest)
    margin = figure.layout.margin
    pixels = (figure.layout.height - margin.t - margin.b) / (span[1] - span[0])
    ends = [trace.y[-1] for trace in figure.data]
    places = spread([y * pixels for y in ends], _LABEL_GAP)
    where = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 4, "showarrow": False}
    for trace, y, place in zip(figure.data, ends, places, strict=True):
        shift = place - y * pixels
        figure.add_annotation(text=trace.name, font_color=trace.line.color, y=y, yshift=shift, **where)
    return figure

"""Figures of an experiment, from the result of `prove.ab.analysis`; report and dashboard show the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.report.draw import (
    GREY,
    RUN_COLORS,
    blank,
    dots,
    legend_height,
    literal,
    rows,
    run_color,
    said,
)
from easq.prove.report.runs import Estimate

Result = Mapping[str, Any]

_SHADE = 0.16
_DAY_MS = 86_400_000


def level_lines(result: Result, metric: str) -> go.Figure | None:
    """Show a metric of each arm by the end of each day, with the interval of one look."""
    points = result["levels"].get(metric, [])
    drawn = [arm for arm in result["arms"] if any(p["arm"] == arm for p in points)]
    if not drawn:
        return None
    figure = blank(300 + legend_height(drawn), legend=True)
    for number, arm in enumerate(drawn):
        mine = [p for p in points if p["arm"] == arm]
        _band(figure, arm, run_color(result["arms"].index(arm)), mine, "value", ("low", "high"), number)
    return figure.update_yaxes(title_text=unit_of(result, metric), tickformat=".3~g")


def lift_lines(result: Result, treatment: Result, metric: str) -> go.Figure | None:
    """Show an arm's relative change by the end of each day, with the interval that holds at all of them."""
    points = [p for p in treatment["over_time"].get(metric, []) if p["always_low"] is not None]
    if not points:
        return None
    figure = blank(300)
    bounds = ("always_low", "always_high")
    _band(
        figure, treatment["arm"], run_color(result["arms"].index(treatment["arm"])), points, "lift", bounds, 0
    )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5}, layer="below")
    # The first days reach far; what follows would be a line.
    highs = sorted(abs(p[b]) for p in points for b in bounds)
    reach = max(1.25 * max(abs(points[-1][b]) for b in bounds), highs[len(highs) // 2])
    return figure.update_yaxes(
        tickformat="+.2~%", range=[-reach, reach], title_text="against the control arm"
    )


def lift_dots(result: Result, treatment: Result) -> go.Figure | None:
    """Show every metric's relative change: the interval of one look, and the one for all looks."""
    names = [spec["name"] for spec in result["specs"] if spec["name"] in treatment["metrics"]]
    if not names:
        return None
    kinds = {
        "at every look": ("always_low", "always_high", f"{RUN_COLORS[1]} circle-open"),
        "at one look": ("low", "high", f"{RUN_COLORS[0]} circle"),
    }
    height = 40
    figure = blank(height * len(names) + 60 + legend_height(list(kinds)), legend=True)
    for number, (kind, (low, high, style)) in enumerate(kinds.items()):
        found = [percent(treatment["metrics"][name], low, high) for name in names]
        y = [row + (number - 0.5) * 15 / height for row in range(len(names))]
        trace = dots(figure, f"interval {kind}", y, found, style)
        trace.hovertext = [f"{said(e, '+.2f')} %" for e in found]
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5}, layer="below")
    figure.update_xaxes(ticksuffix=" %")
    return rows(figure, [title_of(result, name) for name in names], "against the control arm")


def title_of(result: Result, metric: str) -> str:
    """Return what a metric is called."""
    return str(next(spec["title"] for spec in result["specs"] if spec["name"] == metric))


def unit_of(result: Result, metric: str) -> str:
    """Return what a metric is counted in."""
    return str(next(spec["unit"] for spec in result["specs"] if spec["name"] == metric))


def percent(found: Mapping[str, Any], low: str, high: str) -> Estimate:
    """Return a relative change with one of its intervals in percent."""
    bounds = [None if found[b] is None else 100 * found[b] for b in (low, high)]
    return Estimate(100 * found["lift"], *bounds)


def _band(
    figure: go.Figure,
    name: str,
    color: str,
    points: Sequence[Mapping[str, Any]],
    value: str,
    bounds: tuple[str, str],
    number: int,
) -> None:
    """Add a line with a shaded interval around it."""
    days = [p["day"] for p in points]
    figure.update_xaxes(tickformat="%-d %b", dtick=_DAY_MS * -(-len(days) // 6))
    red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
    figure.add_trace(
        go.Scatter(
            x=[*days, *days[::-1]],
            y=[*(p[bounds[1]] for p in points), *(p[bounds[0]] for p in points[::-1])],
            mode="lines",
            fill="toself",
            fillcolor=f"rgba({red},{green},{blue},{_SHADE})",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=str(number),
        )
    )
    figure.add_trace(
        go.Scatter(
            x=days,
            y=[p[value] for p in points],
            name=literal(name),
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 5},
            legendgroup=str(number),
            hovertext=[f"{p[value]:.4g} ({p[bounds[0]]:.4g} to {p[bounds[1]]:.4g})" for p in points],
            hovertemplate="%{x}: %{hovertext}<extra>" + literal(name) + "</extra>",
        )
    )

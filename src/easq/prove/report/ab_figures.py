"""Figures of an experiment's result; the report and the dashboard show the same."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.ab.effects import Effect
from easq.prove.ab.results import DayEffect, DayLevel, ExperimentResult, TreatmentResult
from easq.prove.report.draw import (
    GRAY,
    RUN_COLORS,
    blank,
    dots,
    estimate_text,
    legend_height,
    literal,
    rows,
    run_color,
)
from easq.prove.report.estimates import Estimate

_SHADE = 0.16
_DAY_MS = 86_400_000


def level_lines(result: ExperimentResult, metric: str) -> go.Figure | None:
    """Show a metric of each arm by the end of each day, with the interval of one look."""
    points = result.levels.get(metric, [])
    drawn = [arm for arm in result.arms if any(p.arm == arm for p in points)]
    if not drawn:
        return None
    figure = blank(300 + legend_height(drawn), legend=True)
    for number, arm in enumerate(drawn):
        band = [_level_point(p) for p in points if p.arm == arm]
        _band(figure, arm, run_color(result.arms.index(arm)), band, number)
    return figure.update_yaxes(title_text=result.spec(metric).unit, tickformat=".3~g")


def lift_lines(result: ExperimentResult, treatment: TreatmentResult, metric: str) -> go.Figure | None:
    """Show an arm's relative change by the end of each day, with the interval that holds at all of them."""
    points = [point for day in treatment.over_time.get(metric, []) if (point := _lift_point(day))]
    if not points:
        return None
    figure = blank(300)
    _band(figure, treatment.arm, run_color(result.arms.index(treatment.arm)), points, 0)
    figure.add_hline(y=0, line={"color": GRAY, "width": 1.5}, layer="below")
    # The first days reach far; what follows would be a line.
    highs = sorted(abs(bound) for p in points for bound in (p.low, p.high))
    reach = max(1.25 * max(abs(points[-1].low), abs(points[-1].high)), highs[len(highs) // 2])
    return figure.update_yaxes(
        tickformat="+.2~%", range=[-reach, reach], title_text="against the control arm"
    )


def lift_dots(result: ExperimentResult, treatment: TreatmentResult) -> go.Figure | None:
    """Show every metric's relative change: the interval of one look, and the one for all looks."""
    names = [spec.name for spec in result.specs if spec.name in treatment.metrics]
    if not names:
        return None
    kinds: dict[str, tuple[Callable[[Effect], Estimate], str]] = {
        "at every look": (every_look_percent, f"{RUN_COLORS[1]} circle-open"),
        "at one look": (one_look_percent, f"{RUN_COLORS[0]} circle"),
    }
    height = 40
    figure = blank(height * len(names) + 60 + legend_height(list(kinds)), legend=True)
    for number, (kind, (in_percent, style)) in enumerate(kinds.items()):
        estimates = [in_percent(treatment.metrics[name]) for name in names]
        y = [row + (number - 0.5) * 15 / height for row in range(len(names))]
        trace = dots(figure, f"interval {kind}", y, estimates, style)
        trace.hovertext = [f"{estimate_text(e, '+.2f')} %" for e in estimates]
    figure.add_vline(x=0, line={"color": GRAY, "width": 1.5}, layer="below")
    figure.update_xaxes(ticksuffix=" %")
    return rows(figure, [result.spec(name).title for name in names], "against the control arm")


def one_look_percent(effect: Effect) -> Estimate:
    """Return a relative change in percent, with the interval of one look."""
    return Estimate(100 * effect.lift, 100 * effect.low, 100 * effect.high)


def every_look_percent(effect: Effect) -> Estimate:
    """Return a relative change in percent, with the interval that holds at every look."""
    low, high = (None if b is None else 100 * b for b in (effect.always_low, effect.always_high))
    return Estimate(100 * effect.lift, low, high)


class _BandPoint(NamedTuple):
    day: str
    value: float
    low: float
    high: float


def _level_point(level: DayLevel) -> _BandPoint:
    return _BandPoint(level.day, level.value, level.low, level.high)


def _lift_point(effect: DayEffect) -> _BandPoint | None:
    if effect.always_low is None or effect.always_high is None:
        return None
    return _BandPoint(effect.day, effect.lift, effect.always_low, effect.always_high)


def _band(figure: go.Figure, name: str, color: str, points: Sequence[_BandPoint], number: int) -> None:
    """Add a line with a shaded interval around it."""
    days = [p.day for p in points]
    figure.update_xaxes(tickformat="%-d %b", dtick=_DAY_MS * -(-len(days) // 6))
    red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
    figure.add_trace(
        go.Scatter(
            x=[*days, *days[::-1]],
            y=[*(p.high for p in points), *(p.low for p in points[::-1])],
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
            y=[p.value for p in points],
            name=literal(name),
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 5},
            legendgroup=str(number),
            hovertext=[f"{p.value:.4g} ({p.low:.4g} to {p.high:.4g})" for p in points],
            hovertemplate="%{x}: %{hovertext}<extra>" + literal(name) + "</extra>",
        )
    )

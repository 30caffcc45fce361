"""Figures that only a dashboard has: the questionnaire's funnel and the course of a learner."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.answers.funnel import Funnel
from easq.prove.report.draw import (
    RUN_COLORS,
    blank,
    legend_height,
    line,
    literal,
    option_color,
    rows,
    run_color,
)

Point = Mapping[str, Any]
_ROW = 34


def funnel_bars(funnel: Funnel) -> go.Figure | None:
    """Show each step of the questionnaire as a share of the step before it, with its count."""
    steps = funnel_steps(funnel)
    if not steps[0][1]:
        return None
    options = list(funnel.answers)
    colors = [RUN_COLORS[0]] * (len(steps) - len(options))
    colors += [option_color(n, len(options)) for n in range(len(options))][::-1]
    shares = [100 * num / of if of else 0.0 for _, num, of, _ in steps]
    words = [
        f"{num:,}" if name == of_name else f"{num:,}: {share:.3g} % of {of_name}"
        for (name, num, _, of_name), share in zip(steps, shares, strict=True)
    ]
    figure = blank(_ROW * len(steps) + 60)
    figure.add_trace(
        go.Bar(
            x=shares,
            y=list(range(len(steps))),
            orientation="h",
            width=0.42,
            offset=0.02,
            marker={"color": colors},
            hoverinfo="skip",
        )
    )
    where = {"x": 0, "xanchor": "left", "yanchor": "bottom", "yshift": -1, "showarrow": False}
    for row, text in enumerate(words):
        figure.add_annotation(text=literal(text, 60), y=row, font_size=11, **where)
    figure.update_xaxes(range=[0, 102], ticksuffix=" %")
    return rows(figure, [name for name, *_ in steps], "of the step before")


def funnel_steps(funnel: Funnel) -> list[tuple[str, int, int, str]]:
    """Return name, count, and count and name of what it is a share of, of each step."""
    counts = funnel.steps
    eligible, drawn, asked = counts.get("offered", 0), counts.get("drawn", 0), counts.get("asked", 0)
    answered = counts.get("answered", 0)
    if not eligible:  # asked by a platform's own questionnaire alone
        eligible = drawn = asked
    steps = [
        ("eligible", eligible, eligible, "eligible"),
        ("asked", drawn, eligible, "eligible"),
        ("shown", asked, drawn, "asked"),
        ("answered", answered, asked, "shown"),
    ]
    num_answers = sum(funnel.answers.values())
    return steps + [(option, num, num_answers, "answers") for option, num in reversed(funnel.answers.items())]


def trend_lines(
    trends: Mapping[str, Sequence[Point]], names: Mapping[str, Sequence[str]], unit: str, form: str
) -> go.Figure | None:
    """Show fields of learners' points over their steps; `names` gives the fields of each learner."""
    series = []
    for number, (learner, points) in enumerate(trends.items()):
        for place, name in enumerate(names[learner]):
            curve = [(p["seq"], v) for p in points if (v := field(p, name)) is not None]
            if curve:
                series.append((learner, name, number, place, curve))
    if not series:
        return None
    several = len({name for _, name, *_ in series}) > 1
    labels = [f"{learner}: {words(name)}" if several else learner for learner, name, *_ in series]
    figure = blank(240 + legend_height(labels), legend=True)
    for label, (_, _, number, place, curve) in zip(labels, series, strict=True):
        trace = line(figure, label, run_color(number), [x for x, _ in curve], [y for _, y in curve], form)
        trace.line.dash = ("solid", "dash", "dot", "dashdot")[place % 4]
        if len(curve) == 1:
            trace.mode = "markers"
    figure.update_xaxes(title_text="step")
    return figure.update_yaxes(title_text=unit)


def field(point: Point, name: str) -> float | None:
    """Return a field of a point; `losses/main` is one of its losses."""
    whole, _, part = name.partition("/")
    value = point.get(whole)
    return value.get(part) if part and isinstance(value, Mapping) else value


def words(name: str) -> str:
    """Return the display name of a point's field.

    >>> words("losses/main"), words("active_satisfaction_experts")
    ('main', 'satisfaction experts')
    """
    known = {"active_experts": "experts", "active_satisfaction_experts": "satisfaction experts"}
    return known.get(name, name.rpartition("/")[2])

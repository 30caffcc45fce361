"""Figures of the results of runs; the report and the dashboard show the same ones.

Each function takes results of replays and returns a plotly figure, or None when the results
hold nothing to show. Titles and captions belong to the page.
"""

from collections.abc import Mapping, Sequence
from math import log, sqrt

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.model.answer_signals import BOUNDS, SIGNALS
from easq.prove.offline.results import ReplayResult
from easq.prove.report.curves import Point, middle, pooled, ratio
from easq.prove.report.draw import (
    FAINT,
    GRAY,
    RUN_COLORS,
    blank,
    dots,
    estimate_text,
    label_ends,
    legend_height,
    line,
    literal,
    option_color,
    rows,
    run_color,
    run_symbol,
    scorer_style,
)
from easq.prove.report.estimates import estimate, percent, wilson
from easq.prove.report.run_labels import run_labels
from easq.prove.report.scorers import MODEL, ORACLE, measured, scorers

ANSWERS_PER_POINT, SHOWN_PER_POINT = 100, 50
COIN_LOSS = log(2)
"""-log sigmoid(0): the loss of a pair about which a model knows nothing."""
_DODGE = 15


def top_dots(results: Sequence[ReplayResult], metric: str, unit: str) -> go.Figure | None:
    """Show one metric with a labeled row per scorer: the best possible, the runs, the references."""
    measurements = [(s, e) for s in scorers(results, [metric]) if (e := measured(results, s, metric))]
    if not measurements:
        return None
    measurements.sort(key=lambda pair: (pair[0].kind != ORACLE, pair[0].kind != MODEL))
    figure = blank(36 * len(measurements) + 60)
    for row, (scorer, value) in enumerate(measurements):
        trace = dots(figure, scorer.label, [row], [value], scorer_style(scorer))
        trace.update(mode="markers+text", text=[f"{value.value:.3f}"], textposition="top center")
        trace.cliponaxis = False
    figure.update_xaxes(nticks=5)
    return rows(figure, [s.label for s, _ in measurements], unit, longest=18)


def metric_dots(results: Sequence[ReplayResult], labels: Mapping[str, str], unit: str) -> go.Figure | None:
    """Show each metric as a row, named by `labels`, with a dot and an interval for every scorer."""
    who = scorers(results, labels)
    known = [m for m in labels if any(measured(results, s, m) for s in who)]
    if not known:
        return None
    height = _DODGE * len(who) + 10
    legend = legend_height([s.label for s in who])
    figure = blank(height * len(known) + 60 + legend, legend=True)
    for number, scorer in enumerate(who):
        measurements = [(row, e) for row, m in enumerate(known) if (e := measured(results, scorer, m))]
        y = [row + _dodge(number, len(who), height) for row, _ in measurements]
        dots(figure, scorer.label, y, [e for _, e in measurements], scorer_style(scorer))
    return rows(figure, [labels[m] for m in known], unit)


def validity_dots(result: ReplayResult) -> go.Figure | None:
    """Show by how many percent each behavior differs from the viewer's average, by answer."""
    options, behaviors = result.question.options, result.behaviors
    height = _DODGE * len(options) + 14
    figure = blank(height * len(behaviors) + 60 + legend_height(options), legend=True)
    for number, option in enumerate(options):
        names = {row: f"validity/{option}/{behavior}" for row, behavior in enumerate(behaviors)}
        values = {row: percent(e) for row, n in names.items() if (e := estimate(result.validity, n))}
        if not values:
            continue
        y = [row + _dodge(number, len(options), height) for row in values]
        trace = dots(figure, option, y, list(values.values()), f"{option_color(number, len(options))} circle")
        trace.hovertext = [estimate_text(e, "+.0f") for e in values.values()]
    if not figure.data:
        return None
    figure.add_vline(x=0, line={"color": GRAY, "width": 1.5}, layer="below")
    figure.update_xaxes(ticksuffix=" %", tickformat="d", nticks=5)
    return rows(figure, behaviors, "against the viewer's own average")


def loss_curves(results: Sequence[ReplayResult], loss: str) -> go.Figure | None:
    """Show one loss along the runs, next to the loss of a coin toss."""
    points = [pooled(r.curve, "views") for r in results]
    values = [[(middle(p), ratio(p, f"loss.{loss}", "steps")) for p in run] for run in points]
    return _run_lines(results, values, "loss per pair", ".3f", (COIN_LOSS, "coin toss"))


def pair_curves(results: Sequence[ReplayResult], pairs: str) -> go.Figure | None:
    """Show along the runs the share of pairs in the right order; `pairs` is pairs or answer_pairs."""
    name, least = ("answers", ANSWERS_PER_POINT) if pairs == "answer_pairs" else ("views", 0)
    points = [pooled(r.curve, name, least) for r in results]
    values = [[(middle(p), ratio(p, f"{pairs}_right", pairs)) for p in run] for run in points]
    return _run_lines(results, values, "pairs in the right order", ".0%", (0.5, "coin toss"))


def router_curves(results: Sequence[ReplayResult], side: str) -> go.Figure | None:
    """Show how many experts fire per row; `side` is active or active_satisfaction."""
    steps, place = ("steps", 0) if side == "active" else ("satisfaction_steps", 1)
    points = [pooled(r.curve, "views") for r in results]
    values = [[(middle(p), ratio(p, side, steps)) for p in run] for run in points]
    totals = {r.experts[place] for r, run in zip(results, values, strict=True) if len(_known(run)) > 1}
    most = max(totals, default=0)
    return _run_lines(results, values, "experts active per row", ".1f", (most, f"all {most}"), floor=0.0)


def signal_curves(results: Sequence[ReplayResult], signal: str) -> go.Figure | None:
    """Show a signal of the answer path along the runs: its mean over the steps that had it."""
    points = [pooled(r.curve, "views") for r in results]
    values = [
        [(middle(p), ratio(p, f"signal.{signal}", f"signal_steps.{signal}")) for p in run] for run in points
    ]
    return _run_lines(results, values, SIGNALS[signal], ".3~g", (BOUNDS[signal], "alarm"), floor=0.0)


def answer_shares(result: ReplayResult) -> go.Figure | None:
    """Show over event time how the answers divide into the options."""
    points = _timed(pooled(result.curve, "answers", ANSWERS_PER_POINT, most=32))
    if len(points) < 2:
        return None
    options, figure, top = result.question.options, blank(320), 0.0
    for number, option in enumerate(options):
        said_of = [(p.get(f"said.{option}", 0.0), p["answers"]) for _, p in points]
        bounds, y = [wilson(*pair) for pair in said_of], [part / whole for part, whole in said_of]
        color = option_color(number, len(options))
        above = [high - v for (_, high), v in zip(bounds, y, strict=True)]
        below = [v - low for (low, _), v in zip(bounds, y, strict=True)]
        bars = {"array": above, "arrayminus": below, "thickness": 1, "width": 0}
        line(figure, option, color, [t for t, _ in points], y, ".1%").update(error_y=bars)
        top = max(top, *(high for _, high in bounds))
    figure.update_yaxes(title_text="share of answers", tickformat=".0%")
    figure.update_xaxes(title_text="event time (UTC)", type="date", nticks=5)
    return label_ends(figure, (0.0, 1.05 * top))


def behavior_rates(result: ReplayResult) -> go.Figure | None:
    """Show over event time the share of views with each behavior, a strip for each on its own scale."""
    strips = {}
    for behavior in result.behaviors:
        sum_name = f"shown.{behavior}"
        points = _timed(pooled(result.curve, sum_name, SHOWN_PER_POINT, most=32))
        rates = [(time, value) for time, p in points if (value := ratio(p, sum_name, "views")) is not None]
        if len(rates) > 1:
            strips[behavior] = rates
    if not strips:
        return None
    figure, count = blank(92 * len(strips) + 60), len(strips)
    for row, (behavior, rates) in enumerate(strips.items()):
        axis, y = str(row + 1) if row else "", [value for _, value in rates]
        trace = line(figure, behavior, RUN_COLORS[0], [time for time, _ in rates], y, ".2%")
        trace.update(yaxis=f"y{axis}")
        bottom, top = 1 - (row + 1) / count, 1 - (row + 0.28) / count
        look = {"gridcolor": FAINT, "zeroline": False, "fixedrange": True, "automargin": True}
        scale = {"domain": [bottom, top], "range": [0, 1.15 * max(y)], "nticks": 4, "tickformat": "~%"}
        figure.update_layout({f"yaxis{axis}": {**look, **scale}})
        where = {"x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom"}
        figure.add_annotation(text=f"<b>{literal(behavior)}</b>", showarrow=False, **where)
    figure.update_xaxes(title_text="event time (UTC)", type="date", nticks=5)
    return figure.update_xaxes(anchor="free", position=0)


def reliability(results: Sequence[ReplayResult], pairs: str) -> go.Figure | None:
    """Show how often pairs were in the order that the model claimed, by how sure it was.

    `pairs` is behavior or satisfaction; a larger dot stands for more pairs.
    """
    labels = run_labels(results)
    figure, low = blank(330 + legend_height(labels), legend=True), 0.45
    for run, (label, result) in enumerate(zip(labels, results, strict=True)):
        bins = result.calibration[pairs]
        if not bins.pairs:
            continue
        size = [5 + 11 * sqrt(n / max(bins.count)) for n in bins.count]
        trace = line(figure, label, run_color(run), bins.claimed, bins.right, ".1%")
        hover = f"sure to %{{x:.1%}}, right in %{{y:.1%}} of %{{text}} pairs<extra>{literal(label)}</extra>"
        trace.update(mode="lines+markers", text=[f"{n:,}" for n in bins.count], hovertemplate=hover)
        trace.update(
            marker={"size": size, "symbol": run_symbol(run), "opacity": 0.75, "line_width": 0}, line_width=1.5
        )
        low = min(low, *bins.right)
    if not figure.data:
        return None
    straight = {"color": GRAY, "width": 1.5, "dash": "dot"}
    figure.add_shape(type="line", x0=0.5, y0=0.5, x1=1, y1=1, line=straight, layer="below")
    figure.update_xaxes(title_text="how sure the model was", tickformat=".0%", range=[0.48, 1.02])
    return figure.update_yaxes(
        title_text="how often it was right", tickformat=".0%", range=[low - 0.03, 1.04]
    )


def _run_lines(
    results: Sequence[ReplayResult],
    values: Sequence[Sequence[tuple[float, float | None]]],
    unit: str,
    form: str,
    level: tuple[float, str],
    floor: float | None = None,
) -> go.Figure | None:
    """Draw one line per run that has two points or more, over views, and a dotted level."""
    drawn = [(run, known) for run, pairs in enumerate(values) if len(known := _known(pairs)) > 1]
    if not drawn:
        return None
    figure, labels = blank(270), run_labels(results)
    for run, known in drawn:
        x, y = zip(*known, strict=True)
        line(figure, labels[run], run_color(run), x, y, form)
    seen = [level[0], *(v for _, known in drawn for _, v in known)]
    room = 0.08 * (max(seen) - min(seen) or 1.0)
    end = max(x for _, known in drawn for x, _ in known)
    flat = line(figure, level[1], GRAY, [0, end], [level[0]] * 2, form)
    flat.update(line={"width": 1.5, "dash": "dot"}, hoverinfo="skip", hovertemplate=None)
    figure.update_yaxes(title_text=unit, tickformat=form)
    figure.update_xaxes(title_text="views replayed", tickformat="~s", nticks=4, rangemode="tozero")
    return label_ends(figure, (min(seen) - room if floor is None else floor, max(seen) + room))


def _known(pairs: Sequence[tuple[float, float | None]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in pairs if y is not None]


def _timed(points: Sequence[Point]) -> list[tuple[float, Point]]:
    """Pair points with their mean event time in ms, without those that have none."""
    return [(time, p) for p in points if (time := ratio(p, "ts_sum", "requests")) is not None]


def _dodge(number: int, count: int, height: float) -> float:
    return (number - (count - 1) / 2) * _DODGE / height

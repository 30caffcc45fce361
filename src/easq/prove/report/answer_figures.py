"""Figures of a validity result."""

from collections.abc import Sequence

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.answers.results import CovariateBalance, ValidityResult
from easq.prove.report.draw import (
    GRAY,
    RUN_COLORS,
    blank,
    dots,
    estimate_text,
    legend_height,
    literal,
    option_color,
    rows,
)
from easq.prove.report.estimates import Estimate, estimate, percent

SHARES = {
    "answered": "as answered",
    "asks": "corrected for asks",
    "asks_and_response": "and for who answers",
    "readiness": "and for how readily the worst is said",
}
_DODGE = 15
_MOST_COVARIATES = 24
_SMALL = 0.1


def labels_of(result: ValidityResult, stratum: str) -> list[str]:
    """Return the labels of a stratum such as `response/number`, numbers in their order."""
    labels = [name[len(stratum) + 1 :] for name in result.metrics if name.startswith(f"{stratum}/")]
    return sorted(labels, key=lambda text: (0, int(text.split()[0])) if text[:1].isdigit() else (1, 0))


def later_dots(result: ValidityResult) -> go.Figure | None:
    """Show by how many percent later behavior differs from the viewer's average, by answer."""
    options, behaviors = result.question.options, result.behaviors
    height = _DODGE * len(options) + 14
    figure = blank(height * len(behaviors) + 60 + legend_height(options), legend=True)
    for number, option in enumerate(options):
        values = {
            row: percent(e)
            for row, b in enumerate(behaviors)
            if (e := estimate(result.metrics, f"later/{option}/{b}"))
        }
        if not values:
            continue
        shift = (number - (len(options) - 1) / 2) * _DODGE / height
        y = [row + shift for row in values]
        trace = dots(figure, option, y, list(values.values()), f"{option_color(number, len(options))} circle")
        trace.hovertext = [estimate_text(e, "+.1f") for e in values.values()]
    if not figure.data:
        return None
    figure.add_vline(x=0, line={"color": GRAY, "width": 1.5}, layer="below")
    figure.update_xaxes(ticksuffix=" %", tickformat="d", nticks=5)
    return rows(figure, behaviors, "after the answer, against the viewer's own average")


def rate_dots(result: ValidityResult, stratum: str, unit: str) -> go.Figure | None:
    """Show a share with a row for each label of a stratum."""
    labels = labels_of(result, stratum)
    if not labels:
        return None
    figure = blank(30 * len(labels) + 60)
    values = [e for label in labels if (e := estimate(result.metrics, f"{stratum}/{label}"))]
    dots(figure, unit, list(range(len(values))), [_hundred(e) for e in values], f"{RUN_COLORS[0]} circle")
    figure.update_xaxes(ticksuffix=" %", rangemode="tozero", nticks=6)
    return rows(figure, labels, unit)


def chosen_dots(result: ValidityResult) -> go.Figure | None:
    """Show how often each option was chosen, by the place in which it was shown."""
    options = result.question.options
    places = sorted({name.rpartition("/")[2] for name in result.metrics if name.startswith("chosen/")})
    if len(places) < 2:
        return None
    height = _DODGE * len(places) + 14
    names = [f"shown as number {place}" for place in places]
    figure = blank(height * len(options) + 60 + legend_height(names), legend=True)
    for number, place in enumerate(places):
        values = {
            row: _hundred(e)
            for row, option in enumerate(options)
            if (e := estimate(result.metrics, f"chosen/{option}/{place}"))
        }
        shift = (number - (len(places) - 1) / 2) * _DODGE / height
        style = f"{RUN_COLORS[number % len(RUN_COLORS)]} circle"
        dots(figure, names[number], [row + shift for row in values], list(values.values()), style)
    figure.update_xaxes(ticksuffix=" %", rangemode="tozero")
    return rows(figure, options, "of answers for which it was shown there")


def took_lines(result: ValidityResult) -> go.Figure | None:
    """Show how long answers took, by option: the share of them in each interval of time."""
    options = result.question.options
    figure = blank(280 + legend_height(options), legend=True)
    for number, option in enumerate(options):
        took = result.took_ms[option]
        if not took.answers:
            continue
        x = [(low * high) ** 0.5 / 1000 if low else high / 2000 for low, high, _ in took.bins]
        y = [100 * num / took.answers for *_, num in took.bins]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                name=literal(option),
                mode="lines+markers",
                line={"color": option_color(number, len(options)), "width": 2},
                hovertemplate="%{x:.2f} s: %{y:.1f} %<extra>" + literal(option) + "</extra>",
            )
        )
    if not figure.data:
        return None
    figure.update_xaxes(type="log", title_text="seconds from shown to tapped", nticks=8)
    return figure.update_yaxes(ticksuffix=" %", rangemode="tozero")


def balance_dots(result: ValidityResult) -> go.Figure | None:
    """Show how far answered asks lie from all asks before and after weighting, the farthest first."""
    model = result.model
    if not model or not model.covariates:
        return None
    chosen = farthest(model.covariates)
    names = ["as answered", "weighted by the response model"]
    figure = blank(26 * len(chosen) + 70 + legend_height(names), legend=True)
    columns = [c.before for c in chosen], [c.after for c in chosen]
    styles = f"{RUN_COLORS[1]} circle-open", f"{RUN_COLORS[0]} circle"
    for name, column, style in zip(names, columns, styles, strict=True):
        values = [Estimate(value, None, None) for value in column]
        trace = dots(figure, name, list(range(len(chosen))), values, style)
        trace.hovertext = [f"{e.value:+.3f}" for e in values]
    for x in (-_SMALL, _SMALL):
        figure.add_vline(x=x, line={"color": GRAY, "width": 1, "dash": "dot"}, layer="below")
    figure.add_vline(x=0, line={"color": GRAY, "width": 1.5}, layer="below")
    return rows(figure, [c.name for c in chosen], "answered minus asked, in deviations")


def share_dots(result: ValidityResult) -> go.Figure | None:
    """Show the share of each option, as answered and corrected."""
    options = result.question.options
    names = {
        kind: name
        for kind, name in SHARES.items()
        if any(estimate(result.metrics, f"share/{kind}/{o}") for o in options)
    }
    if not names:
        return None
    height = _DODGE * len(names) + 14
    figure = blank(height * len(options) + 60 + legend_height(list(names.values())), legend=True)
    for number, (kind, name) in enumerate(names.items()):
        values = {
            row: _hundred(e)
            for row, o in enumerate(options)
            if (e := estimate(result.metrics, f"share/{kind}/{o}"))
        }
        shift = (number - (len(names) - 1) / 2) * _DODGE / height
        style = f"{RUN_COLORS[number]} circle"
        dots(figure, name, [row + shift for row in values], list(values.values()), style)
    figure.update_xaxes(ticksuffix=" %", rangemode="tozero")
    return rows(figure, options, "of answers")


def farthest(covariates: Sequence[CovariateBalance]) -> list[CovariateBalance]:
    """Return the covariates that were least balanced before weighting, as many as fit in a figure."""
    return sorted(covariates, key=lambda c: -abs(c.before))[:_MOST_COVARIATES]


def _hundred(e: Estimate) -> Estimate:
    low, high = (None if v is None else 100 * v for v in (e.low, e.high))
    return Estimate(100 * e.value, low, high)

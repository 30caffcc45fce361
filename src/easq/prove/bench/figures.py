"""The figures of a bench: gains with their intervals, or gain against price. For a page, and as SVG."""

from collections.abc import Iterator
from typing import NamedTuple

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.bench import svg
from easq.prove.bench.compare import Gain, Table
from easq.prove.bench.plan import Experiment
from easq.prove.report.draw import blank, dots, legend_height, rows, run_color, run_symbol
from easq.prove.report.runs import Estimate

_METRIC = "true_sat@3"
_PRICE = "behavior@3"
_LEFT_OUT = ("oracle",)
_TOGETHER = 2


class Drawn(NamedTuple):
    """A figure in both forms."""

    title: str
    caption: str
    figure: go.Figure
    svg: str


def figures_of(experiment: Experiment, table: Table) -> Iterator[Drawn]:
    """Yield the figures of an experiment."""
    scenarios = table.scenarios
    if experiment.figure == "frontier":
        for scenario in scenarios:
            yield _frontier(experiment, table, scenario)
    elif len(scenarios) <= _TOGETHER:
        yield _bars(experiment, table, experiment.title, scenarios)
    else:
        # A world in several forms, such as with more and fewer answers, is a figure of its own.
        for base in dict.fromkeys(s.partition(",")[0] for s in scenarios):
            forms = [s for s in scenarios if s.partition(",")[0] == base]
            yield _bars(experiment, table, f"{experiment.title}: {base}", forms)


def _bars(experiment: Experiment, table: Table, title: str, scenarios: list[str]) -> Drawn:
    """Draw the gain of every method, scenarios side by side."""
    against = experiment.against
    gains: dict[str, dict[str, Gain]] = {}
    for scenario in scenarios:
        for method in table.methods(scenario):
            gain = table.gain(scenario, method, against, _METRIC)
            if gain is not None and method not in (*_LEFT_OUT, against):
                gains.setdefault(method, {})[scenario] = gain
    unit = f"{_METRIC}, difference to {against}"
    height = (14 + 8 * len(scenarios)) * len(gains) + 100 + legend_height(scenarios)
    figure = blank(height, legend=True)
    for number, scenario in enumerate(scenarios):
        shift = 0.6 * ((number + 0.5) / len(scenarios) - 0.5)
        known = [(y, row[scenario]) for y, row in enumerate(gains.values()) if scenario in row]
        found = [Estimate(gain.value, gain.low, gain.high) for _, gain in known]
        style = f"{run_color(number)} {run_symbol(number)}"
        dots(figure, scenario, [y + shift for y, _ in known], found, style)
    rows(figure, list(gains), unit, longest=48)
    figure.add_vline(x=0, line_width=1, line_color="#808080")
    caption = f"Gain in {_METRIC} over {against}, mean over seeds, with 95 % intervals."
    return Drawn(title, caption, figure, svg.dots(title, unit, gains))


def _frontier(experiment: Experiment, table: Table, scenario: str) -> Drawn:
    """Draw gain against price, the strengths of one method joined."""
    against = experiment.against
    families: dict[str, list[tuple[float, float, str]]] = {}
    for method in table.methods(scenario):
        gain = table.gain(scenario, method, against, _METRIC)
        price = table.gain(scenario, method, against, _PRICE, relative=True)
        if gain and price and method not in _LEFT_OUT:
            point = 100 * price.value, gain.value, method
            families.setdefault(method.partition(",")[0], []).append(point)
    figure = blank(460 + legend_height(list(families)), legend=True)
    for number, (family, points) in enumerate(families.items()):
        points.sort()
        figure.add_trace(
            go.Scatter(
                x=[p for p, _, _ in points],
                y=[g for _, g, _ in points],
                name=family,
                mode="lines+markers",
                line={"color": run_color(number)},
                marker={"symbol": run_symbol(number), "size": 9},
                hovertext=[method for _, _, method in points],
            )
        )
    units = f"{_PRICE}, change in %", f"{_METRIC}, gain over {against}"
    figure.update_xaxes(title_text=units[0])
    figure.update_yaxes(title_text=units[1])
    title = f"{experiment.title}: {scenario}"
    # Whatever costs more than a fifth of behaviour squeezes the rest into a corner.
    series = {f: [(p, g) for p, g, _ in points if p > -20] for f, points in families.items()}
    drawn = svg.lines(title, *units, {f: points for f, points in series.items() if points})
    return Drawn(title, "Right and up is better.", figure, drawn)

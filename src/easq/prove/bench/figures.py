"""The figures of a bench: gains with their intervals, over a swept value, or against the price."""

from collections.abc import Iterator

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.bench.compare import Gain, Table
from easq.prove.bench.plan import Experiment
from easq.prove.report.draw import blank, dots, legend_height, rows, run_color, run_symbol
from easq.prove.report.runs import Estimate

_METRIC = "true_sat@3"
_PRICE = "behavior@3"
_LEFT_OUT = ("oracle",)
Drawn = tuple[str, str, go.Figure]


def figure_of(experiment: Experiment, table: Table) -> Iterator[Drawn]:
    """Yield title, caption and figure for an experiment."""
    if experiment.figure == "frontier":
        for scenario in table.scenarios:
            yield _frontier(experiment, table, scenario)
    else:
        yield _bars(experiment, table)


def _estimate(gain: Gain) -> Estimate:
    return Estimate(gain.value, gain.low, gain.high)


def _bars(experiment: Experiment, table: Table) -> Drawn:
    """Draw the gain of every method, scenarios side by side."""
    against = experiment.against
    methods = list(dict.fromkeys(m for s in table.scenarios for m in table.methods(s)))
    methods = [m for m in methods if m not in (*_LEFT_OUT, against)]
    height = 26 * len(methods) + 100 + legend_height(table.scenarios)
    figure = blank(height, legend=True)
    for number, scenario in enumerate(table.scenarios):
        known = [(y, table.gain(scenario, m, against, _METRIC)) for y, m in enumerate(methods)]
        shift = 0.6 * ((number + 0.5) / len(table.scenarios) - 0.5)
        places = [y + shift for y, gain in known if gain is not None]
        found = [_estimate(gain) for _, gain in known if gain is not None]
        dots(figure, scenario, places, found, f"{run_color(number)} {run_symbol(number)}")
    rows(figure, methods, f"{_METRIC}, difference to {against}", longest=48)
    figure.add_vline(x=0, line_width=1, line_color="#808080")
    caption = f"Gain in {_METRIC} over {against}, mean over seeds, with 95 % intervals."
    return experiment.title, caption, figure


def _frontier(experiment: Experiment, table: Table, scenario: str) -> Drawn:
    """Draw gain against price, the strengths of one method joined."""
    against = experiment.against
    families: dict[str, list[tuple[float, float, str]]] = {}
    for method in table.methods(scenario):
        gain = table.gain(scenario, method, against, _METRIC)
        price = table.gain(scenario, method, against, _PRICE, relative=True)
        if gain and price and method not in _LEFT_OUT:
            families.setdefault(method.partition(",")[0], []).append((100 * price.value, gain.value, method))
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
    figure.update_xaxes(title_text=f"{_PRICE}, change in %")
    figure.update_yaxes(title_text=f"{_METRIC}, gain")
    return f"{experiment.title}: {scenario}", f"Right and up is better; all against {against}.", figure

"""The figures of a bench: gains with their intervals, or gain against price. For a page, and as SVG."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go  # type: ignore[import-untyped]

from easq.prove.bench import svg
from easq.prove.bench.bound import BOUNDS, TRUE_BEHAVIOR, Bound
from easq.prove.bench.compare import Gain, SeedTable
from easq.prove.bench.plan import REFERENCES, BenchExperiment, BenchSize, BenchWorld, places_of, scenario_name
from easq.prove.report.draw import (
    blank,
    dots,
    estimate_text,
    legend_height,
    literal,
    rows,
    run_color,
    run_symbol,
)
from easq.prove.report.estimates import Estimate

_METRIC = "true_sat@3"
_PRICE = "behavior@3"
_EXPECTED_PRICE = "expected_behavior@3"
_LEFT_OUT = ("oracle",)
_DEAREST = 20.0
_NUMBER = re.compile(r"[ =][\d.e+-]+( %)?$")


class SvgFigure(NamedTuple):
    """A figure in both forms."""

    title: str
    caption: str
    figure: go.Figure
    svg: str


def figures_of(experiment: BenchExperiment, table: SeedTable, size: BenchSize) -> Iterator[SvgFigure]:
    """Yield the figures of an experiment: as it asks, by what its worlds vary in, or else by method."""
    places = [p for p in places_of(experiment, size) if scenario_name(p, size) in table.scenarios]
    if experiment.figure == "frontier":
        for scenario, worlds in _grouped(places, size, lambda p: p).items():
            yield _frontier(experiment, table, scenario_name(worlds[0], size), scenario)
    elif experiment.figure == "bound":
        for scenario, worlds in _grouped(places, size, lambda p: p).items():
            yield from _bounds(experiment, table, scenario_name(worlds[0], size), scenario)
    elif experiment.num_answers:
        for label, worlds in _by_start(places).items():
            counts = [(float(place.num_answers), scenario_name(place, size)) for place in worlds]
            yield from _response(experiment, table, label, counts, "answers", log=True)
    elif len(experiment.answers) > 1:
        for scenario, worlds in _grouped(places, size, lambda p: p._replace(answers=size.answers)).items():
            along = [(place.answers, scenario_name(place, size)) for place in worlds]
            yield from _response(experiment, table, scenario, along, "answers a view", log=True)
    elif len(experiment.bias) > 1:
        for scenario, worlds in _grouped(places, size, lambda p: p._replace(bias=1.0)).items():
            along = [(place.bias, scenario_name(place, size)) for place in worlds]
            yield from _response(experiment, table, scenario, along, "strength of non-response bias")
    elif places:
        yield _bars(experiment, table, {p.scenario: scenario_name(p, size) for p in places})


def _by_start(places: Sequence[BenchWorld]) -> dict[str, list[BenchWorld]]:
    """Group worlds that differ in their number of answers alone."""
    groups: dict[str, list[BenchWorld]] = {}
    for place in places:
        start = f"after {place.warm:,} views without answers" if place.warm else "cold"
        bias = "" if place.bias == 1 else f", bias {place.bias:g}"
        groups.setdefault(f"{place.scenario}{bias}, {start}", []).append(place)
    return groups


def _caption(against: str) -> str:
    return f"Gain in {_METRIC} over {against}, mean over seeds, with 95 % intervals."


def _grouped(
    places: Sequence[BenchWorld], size: BenchSize, alike: Callable[[BenchWorld], BenchWorld]
) -> dict[str, list[BenchWorld]]:
    """Group worlds that `alike` maps to the same one, by scenario, or by name if scenarios repeat."""
    groups: dict[BenchWorld, list[BenchWorld]] = {}
    for place in places:
        groups.setdefault(alike(place), []).append(place)
    scenarios = [place.scenario for place in groups]
    return {
        place.scenario if scenarios.count(place.scenario) == 1 else scenario_name(place, size): group
        for place, group in groups.items()
    }


def _bars(experiment: BenchExperiment, table: SeedTable, scenarios: Mapping[str, str]) -> SvgFigure:
    """Draw the gain of every method, scenarios (how they are shown: their name in rows) side by side."""
    against = experiment.against
    gains: dict[str, dict[str, Gain]] = {}
    for label, scenario in scenarios.items():
        for method in table.methods(scenario):
            gain = table.gain(scenario, method, against, _METRIC)
            if gain is not None and method not in (*_LEFT_OUT, against):
                gains.setdefault(method, {})[label] = gain
    unit = f"{_METRIC}, difference to {against}"
    height = (14 + 8 * len(scenarios)) * len(gains) + 100 + legend_height(list(scenarios))
    figure = blank(height, legend=True)
    for number, label in enumerate(scenarios):
        shift = 0.6 * ((number + 0.5) / len(scenarios) - 0.5)
        known = [(y, row[label]) for y, row in enumerate(gains.values()) if label in row]
        estimates = [Estimate(gain.value, gain.low, gain.high) for _, gain in known]
        style = f"{run_color(number)} {run_symbol(number)}"
        dots(figure, label, [y + shift for y, _ in known], estimates, style)
    rows(figure, list(gains), unit, longest=48)
    figure.add_vline(x=0, line_width=1, line_color="#808080")
    return SvgFigure(experiment.title, _caption(against), figure, svg.dots(experiment.title, unit, gains))


def _response(
    experiment: BenchExperiment,
    table: SeedTable,
    label: str,
    along: Sequence[tuple[float, str]],
    unit: str,
    log: bool = False,
) -> Iterator[SvgFigure]:
    """Draw the gains, if any, against what is varied: its values, and the worlds' names in rows."""
    against = experiment.against
    series: dict[str, list[svg.Point]] = {}
    for x, scenario in along:
        for method in table.methods(scenario):
            gain = table.gain(scenario, method, against, _METRIC)
            if gain is not None and method not in (*_LEFT_OUT, against):
                series.setdefault(method, []).append(svg.Point(x, gain.value, gain.low, gain.high))
    if not series:
        return
    figure = blank(460 + legend_height(list(series)), legend=True)
    for number, (method, points) in enumerate(series.items()):
        _joined(figure, number, method, points, [estimate_text(Estimate(p.y, p.low, p.high)) for p in points])
    figure.update_xaxes(title_text=unit, type="log" if log else "linear")
    figure.update_yaxes(title_text=f"{_METRIC}, gain over {against}")
    title = f"{experiment.title}: {label}"
    drawn = svg.lines(title, unit, f"{_METRIC}, gain over {against}", series, log)
    yield SvgFigure(title, _caption(against), figure, drawn)


def _joined(
    figure: go.Figure, number: int, name: str, points: Sequence[svg.Point], hover: Sequence[str]
) -> None:
    """Add a method's points, joined, with their intervals where they have any."""
    color = run_color(number)
    above = [0.0 if p.high is None else p.high - p.y for p in points]
    below = [0.0 if p.low is None else p.y - p.low for p in points]
    figure.add_trace(
        go.Scatter(
            x=[p.x for p in points],
            y=[p.y for p in points],
            name=literal(name),
            mode="lines+markers",
            line={"color": color},
            marker={"symbol": run_symbol(number), "size": 9},
            error_y={"type": "data", "array": above, "arrayminus": below, "width": 0, "color": color},
            hovertext=list(hover),
        )
    )


def _frontier(experiment: BenchExperiment, table: SeedTable, scenario: str, label: str) -> SvgFigure:
    """Draw gain against price, the strengths of one method joined."""
    against = experiment.against
    known: dict[str, svg.Point] = {}
    for method in table.methods(scenario):
        gain = table.gain(scenario, method, against, _METRIC)
        price = table.gain(scenario, method, against, _PRICE, relative=True)
        if gain and price and method not in (*_LEFT_OUT, against):
            known[method] = svg.Point(100 * price.value, gain.value)
    families = {f: sorted(methods, key=known.__getitem__) for f, methods in strengths(list(known)).items()}
    figure = blank(460 + legend_height(list(families)), legend=True)
    for number, (family, methods) in enumerate(families.items()):
        _joined(figure, number, family, [known[m] for m in methods], methods)
    units = f"{_PRICE}, change in %", f"{_METRIC}, gain over {against}"
    figure.update_xaxes(title_text=units[0])
    figure.update_yaxes(title_text=units[1])
    title = f"{experiment.title}: {label}"
    # Points that cost more than a fifth of behavior would squeeze the rest into a corner.
    series = {f: [known[m] for m in methods if known[m].x > -_DEAREST] for f, methods in families.items()}
    drawn = svg.lines(title, *units, {f: points for f, points in series.items() if points})
    return SvgFigure(title, "Right and up is better.", figure, drawn)


def _bounds(experiment: BenchExperiment, table: SeedTable, scenario: str, label: str) -> Iterator[SvgFigure]:
    """Draw gain against price: the bounds as lines, and every method. Prices are in expected behavior."""
    series: dict[str, list[tuple[svg.Point, str]]] = {}
    for method in table.methods(scenario):
        bound = BOUNDS.get(method)
        against = TRUE_BEHAVIOR if bound and bound.is_of_truth else experiment.against
        gain = table.gain(scenario, method, against, _METRIC)
        change = table.gain(scenario, method, against, _EXPECTED_PRICE, relative=True)
        is_drawn = bound or method not in (*REFERENCES, against)
        if gain and change and is_drawn and -100 * change.value <= _DEAREST:
            point = svg.Point(-100 * change.value, gain.value, gain.low, gain.high)
            series.setdefault(_bound_line(bound) if bound else method, []).append((point, method))
    if not series:
        return
    for line in series.values():
        line.sort(key=lambda one: one[0].x)
    points = {name: [point for point, _ in line] for name, line in series.items()}
    figure = blank(460 + legend_height(list(series)), legend=True)
    for number, (name, line) in enumerate(series.items()):
        _joined(figure, number, name, points[name], [method for _, method in line])
    units = f"{_EXPECTED_PRICE} given up, in %", f"{_METRIC}, gain over {experiment.against}"
    figure.update_xaxes(title_text=units[0])
    figure.update_yaxes(title_text=units[1])
    title = f"{experiment.title}: {label}"
    yield SvgFigure(title, "Left and up is better.", figure, svg.lines(title, *units, points))


def _bound_line(bound: Bound) -> str:
    """Return how a bound's line is named: by what is known, and by its base if that is another one."""
    if bound.is_learned:
        return "satisfaction known, behavior as learned"
    return "behavior and satisfaction known" + f", over {TRUE_BEHAVIOR}" * bound.is_of_truth


def strengths(methods: Sequence[str]) -> dict[str, list[str]]:
    """Group names that differ in one number only, by what they share.

    A method's plain name joins its group if all its variants are of one kind.

    >>> strengths(["probe", "probe, price 3 %", "probe, price 8 %", "ple", "ple, weak"]).values()
    dict_values([['probe', 'probe, price 3 %', 'probe, price 8 %'], ['ple'], ['ple, weak']])
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for name in methods:
        kinds.setdefault(name.partition(",")[0], {}).setdefault(_NUMBER.sub("", name), []).append(name)
    families: dict[str, list[str]] = {}
    for method, families_of in kinds.items():
        others = families_of.keys() - {method}
        if len(others) <= 1 and others.isdisjoint(methods):
            families[method] = [name for names in families_of.values() for name in names]
        else:
            families |= families_of
    return families

"""One table a scenario of an experiment over numbers of answers: what each method gains, cold and warm."""

from collections.abc import Iterator

from easq.prove.bench.compare import SeedTable, gain_text
from easq.prove.bench.plan import BenchExperiment, BenchSize, BenchWorld, places_of, scenario_name

METRIC, PRICE = "true_sat@3", "behavior@3"

Table = tuple[str, list[str], list[tuple[str, list[str]]]]
"""A title, the heads of its columns, and the rows: a name and its cells."""


def answer_tables(experiment: BenchExperiment, size: BenchSize, table: SeedTable) -> Iterator[Table]:
    """Yield the tables of an experiment that states numbers of answers; of any other none.

    A cell holds the gain in true satisfaction with Student's 95 % interval over seeds, and the change of
    behavior.
    """
    if not experiment.num_answers:
        return
    groups: dict[tuple[str, float], list[BenchWorld]] = {}
    for place in places_of(experiment, size):
        if scenario_name(place, size) in table.scenarios:
            groups.setdefault((place.scenario, place.bias), []).append(place)
    for (scenario, bias), places in groups.items():
        places.sort(key=lambda place: (place.num_answers, place.warm))
        title = scenario if bias == 1 else f"{scenario}, bias {bias:g}"
        names = [scenario_name(place, size) for place in places]
        methods = dict.fromkeys(method for name in names for method in table.methods(name))
        rows = [
            (method, [_cell(table, name, method, experiment.against) for name in names])
            for method in methods
            if method != experiment.against
        ]
        title += f": {METRIC}, gain over {experiment.against}; {PRICE}, change"
        yield title, [_head(place) for place in places], rows


def _head(place: BenchWorld) -> str:
    start = f"after {place.warm:,} views without" if place.warm else "cold"
    return f"{place.num_answers:,} answers, {start}"


def _cell(table: SeedTable, scenario: str, method: str, against: str) -> str:
    gain = table.gain(scenario, method, against, METRIC)
    price = table.gain(scenario, method, against, PRICE, relative=True)
    return "-" if gain is None or price is None else f"{gain_text(gain)}; {100 * price.value:+.1f} %"

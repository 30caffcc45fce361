"""One table a scenario of an experiment over numbers of answers: what each method gains, cold and warm."""

from collections.abc import Iterator

from easq.prove.bench.bound import BASE
from easq.prove.bench.compare import SeedTable, gain_text
from easq.prove.bench.plan import BenchExperiment, BenchSize, BenchWorld, places_of, scenario_name

METRIC, PRICE = "true_sat@3", "behavior@3"
EQUAL_PRICE = " at 1%"

Table = tuple[str, list[str], list[tuple[str, list[str]]]]
"""A title, the heads of its columns, and the rows: a name and its cells."""


def answer_tables(experiment: BenchExperiment, size: BenchSize, table: SeedTable) -> Iterator[Table]:
    """Yield the tables of an experiment that states numbers of answers; of any other none.

    A cell holds the gain in true satisfaction with Student's 95 % interval over seeds. If passes had a bound,
    the first table is of every method mixed with the base until it costs 1 % of the expected behavior. The
    second is of methods as served, with the change of behavior.
    """
    if not experiment.num_answers:
        return
    groups: dict[tuple[str, float], list[BenchWorld]] = {}
    for place in places_of(experiment, size):
        if scenario_name(place, size) in table.scenarios:
            groups.setdefault((place.scenario, place.bias), []).append(place)
    against = experiment.against
    for (scenario, bias), places in groups.items():
        places.sort(key=lambda place: (place.num_answers, place.warm))
        where = scenario if bias == 1 else f"{scenario}, bias {bias:g}"
        names = [scenario_name(place, size) for place in places]
        heads = [_head(place) for place in places]
        methods = dict.fromkeys(m for name in names for m in table.methods(name) if m != against)
        # Methods are mixed with the base alone, so at equal prices they compare with nothing else.
        mixed = methods if against == BASE else ()
        equal = [(m, [_at_price(table, name, m, against) for name in names]) for m in mixed]
        if known := [row for row in equal if any(cell != "-" for cell in row[1])]:
            yield f"{where}: {METRIC}{EQUAL_PRICE} of {PRICE}, gain over {against}", heads, known
        served = [(m, [_as_served(table, name, m, against) for name in names]) for m in methods]
        yield f"{where}: {METRIC} as served, gain over {against}; {PRICE}, change", heads, served


def _head(place: BenchWorld) -> str:
    start = f"after {place.warm:,} views without" if place.warm else "cold"
    return f"{place.num_answers:,} answers, {start}"


def _at_price(table: SeedTable, scenario: str, method: str, against: str) -> str:
    return gain_text(table.gain(scenario, method, against, METRIC, ours_at=EQUAL_PRICE))


def _as_served(table: SeedTable, scenario: str, method: str, against: str) -> str:
    gain = table.gain(scenario, method, against, METRIC)
    price = table.gain(scenario, method, against, PRICE, relative=True)
    return "-" if gain is None or price is None else f"{gain_text(gain)}; {100 * price.value:+.1f} %"

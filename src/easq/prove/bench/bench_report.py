"""Output of a bench besides its cells: all rows, and a report with tables and figures."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from easq.home.files import replace_file
from easq.prove.bench import real, tune
from easq.prove.bench.answer_table import Table, answer_tables
from easq.prove.bench.bench_figures import SvgFigure, figures_of
from easq.prove.bench.bound import BASE, BOUNDS, TRUE_BEHAVIOR, Bound
from easq.prove.bench.compare import SeedTable, gain_text, percent_text
from easq.prove.bench.plan import REFERENCES, BenchExperiment, BenchSize
from easq.prove.bench.row_store import MetricRow, write_rows
from easq.prove.bench.runner import Bench
from easq.prove.report import page

ANSWERS = ("sat/hr@1", "sat/hr@5", "sat/hr@10", "sat/ndcg@5", "sat/ndcg@10", "sat/ndcg@20", "sat/mrr")
TRUTH = tuple(name.replace("sat/", "true/", 1) for name in ANSWERS)
SATISFACTION = ("true_sat@1", "true_sat@3", "true_sat@10")
COST = ("behavior@3", "behavior@10")
EXPECTED_COST = "expected_behavior@3"
_OTHERS = ("said_sat@3", "sat/auc", "pair_accuracy")


def write(bench: Bench, *, of_worlds: bool = True) -> int:
    """Write the rows and report/ from the cells that are done; return how many rows there are.

    Not `of_worlds`: of logs alone. The recipe is then that of a log, and other methods may not fit it.
    """
    folder = bench.out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    every: dict[str, MetricRow] = {}
    blocks = list(_write_worlds(bench, folder, every)) if of_worlds else []
    for result in real.results(bench):
        name = f"{result.log}-{result.kept:g}"
        replace_file(folder / f"{name}.md", real_markdown(result), durable=False)
        blocks.append(_real_section(result))
    title = "Methods compared"
    lead = page.header(title, *([page.text(_lead(bench.size), "lead")] if of_worlds else []))
    replace_file(folder / "index.html", page.document(title, "\n".join([lead, *blocks])), durable=False)
    return len(every)


def _write_worlds(bench: Bench, folder: Path, every: dict[str, MetricRow]) -> Iterator[str]:
    """Write the rows of all experiments and what is drawn of them; yield the sections, and fill `every`."""
    for name in bench.size.experiments:
        rows = bench.rows(name)
        every |= {json.dumps([r["method"], r["scenario"], r["seed"], r["metric"]]): r for r in rows}
        if rows:
            experiment, table = bench.plan.experiments[name], SeedTable(rows)
            replace_file(folder / f"{name}.md", markdown(experiment, bench.size, table), durable=False)
            drawn = list(figures_of(experiment, table, bench.size))
            for number, one in enumerate(drawn, 1):
                path = folder / (f"{name}.svg" if len(drawn) == 1 else f"{name}-{number}.svg")
                replace_file(path, one.svg, durable=False)
            if trials := tune.trials(experiment, bench.size, table):
                _write_winners(folder, trials)
            yield _section(experiment, bench.size, table, drawn)
    lines = ",\n".join(json.dumps(row) for row in every.values())
    replace_file(bench.out / "rows.json", f"[\n{lines}\n]\n", durable=False)
    write_rows(bench.out / "rows.parquet", list(every.values()))


def _write_winners(folder: Path, trials: dict[str, list[tune.Trial]]) -> None:
    """Write all trials as a table, and the winners' settings as they may stand in methods/."""
    replace_file(folder / "trials.md", tune.markdown(trials), durable=False)
    for method, rows in trials.items():
        text = tune.overlay(tune.winner(rows).set)
        replace_file(folder / f"{method}.toml", text, durable=False)


def _lead(size: BenchSize) -> str:
    return (
        f"Worlds of {size.views:,} views, {size.answers:g} answers learned per view, seeds "
        f"{', '.join(map(str, size.seeds))}. Values are means over seeds, differences are paired by seed; "
        "what stands in brackets is Student's 95 % interval over seeds. Measured is the last part of each "
        "world, on requests and on answers that no method learned."
    )


def markdown(experiment: BenchExperiment, size: BenchSize, table: SeedTable) -> str:
    """Return an experiment's tables as Markdown."""
    parts = []
    for title, heads, rows in _all_tables(experiment, size, table):
        parts += [f"**{title}**", "", "| | " + " | ".join(heads) + " |"]
        parts += ["|---" * (len(heads) + 1) + "|"]
        parts += [f"| {method} | " + " | ".join(cells) + " |" for method, cells in rows] + [""]
    return "\n".join(parts)


def _section(
    experiment: BenchExperiment, size: BenchSize, table: SeedTable, drawn: Sequence[SvgFigure]
) -> str:
    blocks = [page.figure(one.title, one.caption, one.figure, "") for one in drawn]
    for title, heads, rows in _all_tables(experiment, size, table):
        body = (page.row([page.cell(method), *map(page.cell, cells)]) for method, cells in rows)
        blocks.append(page.table(title, ["", *map(page.plain, heads)], body))
    return page.section(experiment.title, *blocks)


def _all_tables(experiment: BenchExperiment, size: BenchSize, table: SeedTable) -> Iterator[Table]:
    yield from answer_tables(experiment, size, table)
    for scenario in table.scenarios:
        for caption, heads, rows in _tables(experiment, table, scenario):
            yield f"{scenario}: {caption}", heads, rows


_Body = list[tuple[str, list[str]]]


def _real_rows(result: real.RealResult) -> tuple[list[str], _Body]:
    """Return heads and rows: every metric and its gain, with intervals; over what, RealMethod says."""
    methods = result.methods
    metrics = list(next(iter(methods.values())).metrics)
    heads = ["answers learned a seed", "held back a seed", *metrics, *(f"{m}, gain" for m in metrics)]
    rows: _Body = []
    for name, method in methods.items():
        values = [_bounds(method.metrics.get(m), ".3f") for m in metrics]
        gains = [_bounds(method.gain.get(m), "+.3f") for m in metrics]
        rows.append((name, [f"{method.learned:,}", f"{method.held:,}", *values, *gains]))
    return heads, rows


def short_table(result: real.RealResult) -> tuple[list[str], _Body]:
    """Return heads and rows of what matters most, short enough for a terminal."""
    said = result.comparison.metric if result.comparison else "sat/raw_auc"
    heads = ["stated answers, AUC", f"over {result.against}", "in a request, pairs", "behavior, pairs"]
    rows = []
    for name, method in result.methods.items():
        values = [_bounds(method.metrics.get(m), ".3f") for m in (said, "sat/pair_accuracy", "pair_accuracy")]
        values.insert(1, _bounds(method.gain.get(said), "+.3f"))
        rows.append((name, values))
    return heads, rows


def real_markdown(result: real.RealResult) -> str:
    """Return a real log's table as Markdown."""
    heads, rows = _real_rows(result)
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {m} | " + " | ".join(cells) + " |" for m, cells in rows]
    if result.comparison is not None:
        lines += ["", result.comparison.how(), "", result.comparison.line]
    return "\n".join(lines) + "\n"


def _real_section(result: real.RealResult) -> str:
    heads, rows = _real_rows(result)
    body = (page.row([page.cell(method), *map(page.cell, cells)]) for method, cells in rows)
    title = f"{result.log}, {result.kept:.0%} of the answers learned"
    seeds = ", ".join(map(str, result.seeds))
    caption = f"Seeds {seeds} together; 95 % intervals by viewer; gains are over {result.against}."
    table = page.table(caption, ["", *map(page.plain, heads)], body)
    if result.comparison is None:
        return page.section(title, table)
    line, how = page.text(result.comparison.line), page.text(result.comparison.how())
    return page.section(title, line, table, how)


def _bounds(bounds: real.Bounds | None, form: str) -> str:
    if bounds is None or bounds[0] is None:
        return "-"
    value, low, high = bounds
    return f"{value:{form}}" + ("" if low is None else f" ({low:{form}} to {high:{form}})")


def _tables(
    experiment: BenchExperiment, table: SeedTable, scenario: str
) -> list[tuple[str, list[str], _Body]]:
    """Return caption, heads and rows of each table of a scenario."""
    against, methods = experiment.against, table.methods(scenario)

    def plain_rows(names: tuple[str, ...]) -> _Body:
        return [(m, [_number(table.mean(scenario, m, name)) for name in names]) for m in methods]

    heads = [f"{n}, gain" for n in SATISFACTION]
    heads += ["share of the gap closed @3", "@10", *(f"{n}, change" for n in COST), "seeds"]
    gains: _Body = []
    for method in methods:
        cells = [gain_text(table.gain(scenario, method, against, name)) for name in SATISFACTION]
        closed = (table.share_closed(scenario, method, against, name) for name in SATISFACTION[1:])
        cells += map(percent_text, closed)
        cells += [percent_text(table.gain(scenario, method, against, name, relative=True)) for name in COST]
        paired = table.gain(scenario, method, against, SATISFACTION[0])
        gains.append((method, [*cells, str(paired.seeds if paired else 0)]))
    values = (*SATISFACTION, *COST, *_OTHERS, "answers", "held_answers")
    tables = [
        (f"true satisfaction and behavior, against {against}", heads, gains),
        ("values", list(values), plain_rows(values)),
    ]
    tables += _bound_tables(table, scenario)
    if any(method in REFERENCES for method in methods):
        tables += [
            ("on held-back answers", list(ANSWERS), plain_rows(ANSWERS)),
            _mean_gains(table, scenario),
            ("on true satisfaction: the relevant entry is the truly best", list(TRUTH), plain_rows(TRUTH)),
        ]
    return tables


def _bound_tables(table: SeedTable, scenario: str) -> list[tuple[str, list[str], _Body]]:
    """Return what is gained at which price, by the base of the bounds, and shares of the bounds."""
    methods, metric = table.methods(scenario), SATISFACTION[1]
    tables = []
    for base in (BASE, TRUE_BEHAVIOR):
        own = [m for m in methods if m in BOUNDS and BOUNDS[m].is_of_truth == (base == TRUE_BEHAVIOR)]
        whole = [m for m in own if BOUNDS[m] == Bound(BOUNDS[m].price)]
        compared = [m for m in methods if m not in BOUNDS] if base == BASE else []
        rows: _Body = []
        for method in [*compared, *own]:
            cells = [gain_text(table.gain(scenario, method, base, metric))]
            cells += [
                percent_text(table.gain(scenario, method, base, cost, relative=True))
                for cost in (EXPECTED_COST, COST[0])
            ]
            cells += [percent_text(table.share_closed(scenario, method, base, metric, best=b)) for b in whole]
            rows.append((method, cells))
        heads = [f"{metric}, gain", *(f"{c}, change" for c in (EXPECTED_COST, COST[0]))]
        if own:
            heads += [f"share of {bound}" for bound in whole]
            tables.append((f"against the bounds of {base}", heads, rows))
    return tables


def _mean_gains(table: SeedTable, scenario: str) -> tuple[str, list[str], _Body]:
    """Return the paper's summary: the mean relative gain of its metrics, over each other method."""
    methods = [m for m in table.methods(scenario) if m not in REFERENCES]
    rows: _Body = [
        (m, ["" if m == o else percent_text(table.mean_gain(scenario, m, o, ANSWERS)) for o in methods])
        for m in methods
    ]
    return "mean relative gain of these seven metrics, over each column's method", methods, rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.4f}"

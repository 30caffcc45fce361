"""The table over numbers of answers: which worlds stand in which column, and what a cell says."""

from easq.prove.bench.answer_table import answer_tables
from easq.prove.bench.bench_figures import figures_of
from easq.prove.bench.bench_report import markdown
from easq.prove.bench.compare import SeedTable
from easq.prove.bench.plan import BenchExperiment, BenchSize, cells_of, scenario_name
from easq.prove.bench.row_store import MetricRow

SIZE = BenchSize(views=1000, answers=0.001, seeds=(1, 2, 3), experiments=("one",))
REGIME = BenchExperiment("Title", ("behavior", "probe", "easq"), num_answers=(10, 100), warm=(0, 2000))


def rows_of(experiment: BenchExperiment) -> list[MetricRow]:
    """Return rows in which the probe gains a hundredth a power of ten, and as much again if warm, for 1 %."""
    rows: list[MetricRow] = []
    for cell in cells_of(experiment, SIZE):
        gains = cell.arm.method == "probe"
        gain = gains * (0.01 * len(str(cell.place.num_answers)) + 0.1 * bool(cell.place.warm))
        noise = 0.001 * cell.seed * gains
        values = {"true_sat@3": 0.5 + gain + noise, "behavior@3": 1 - 0.01 * gains + noise}
        scenario = scenario_name(cell.place, SIZE)
        rows += [
            MetricRow(method=cell.arm.name, scenario=scenario, seed=cell.seed, metric=metric, value=value)
            for metric, value in values.items()
        ]
    return rows


def test_columns_are_numbers_of_answers_cold_and_warm_and_rows_are_methods() -> None:
    tables = list(answer_tables(REGIME, SIZE, SeedTable(rows_of(REGIME))))
    assert [title.partition(":")[0] for title, _, _ in tables] == ["main", "bait"]
    _, heads, rows = tables[0]
    assert heads == [
        "10 answers, cold",
        "10 answers, after 2,000 views without",
        "100 answers, cold",
        "100 answers, after 2,000 views without",
    ]
    assert [method for method, _ in rows] == ["probe", "easq"]
    assert [cell[:7] for cell in rows[0][1]] == ["+0.0220", "+0.1220", "+0.0320", "+0.1320"]
    assert rows[0][1][0] == "+0.0220 (+0.0195 to +0.0245); -0.8 %"


def test_methods_at_equal_prices_come_first_where_passes_had_a_bound() -> None:
    rows = rows_of(REGIME)
    mixed: list[MetricRow] = [
        {**r, "metric": "true_sat@3 at 1%", "value": 0.5 + r["seed"] / 10}
        for r in rows
        if r["metric"] == "true_sat@3" and r["method"] == "probe" and "warm" in r["scenario"]
    ]
    tables = list(answer_tables(REGIME, SIZE, SeedTable([*rows, *mixed])))
    assert [title.partition(",")[0] for title, _, _ in tables] == [
        "main: true_sat@3 at 1% of behavior@3",
        "main: true_sat@3 as served",
        "bait: true_sat@3 at 1% of behavior@3",
        "bait: true_sat@3 as served",
    ]
    ((method, cells),) = tables[0][2]
    assert method == "probe"
    assert [cell[:7] for cell in cells] == ["-", "+0.2000", "-", "+0.2000"]


def test_worlds_that_are_not_done_are_left_out() -> None:
    done = [row for row in rows_of(REGIME) if "warm" not in row["scenario"] and row["method"] != "easq"]
    (_, heads, rows), _ = answer_tables(REGIME, SIZE, SeedTable(done))
    assert heads == ["10 answers, cold", "100 answers, cold"]
    assert [method for method, _ in rows] == ["probe"]


def test_other_experiments_have_no_such_table() -> None:
    plain = BenchExperiment("Title", ("behavior", "probe"), answers=(0.01, 0.1))
    assert not list(answer_tables(plain, SIZE, SeedTable(rows_of(plain))))


def test_the_report_begins_with_the_table_and_draws_each_start() -> None:
    table = SeedTable(rows_of(REGIME))
    text = markdown(REGIME, SIZE, table)
    assert text.startswith("**main: true_sat@3 as served, gain over behavior; behavior@3, change**")
    assert "**main, warm 2,000 views, 10 answers, 3,000 views: values**" in text
    assert [one.title for one in figures_of(REGIME, table, SIZE)] == [
        "Title: main, cold",
        "Title: bait, cold",
        "Title: main, after 2,000 views without answers",
        "Title: bait, after 2,000 views without answers",
    ]

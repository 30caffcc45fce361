"""The bench's figures: what they hold, that names and numbers can be read, and which points are joined."""

import re
from collections.abc import Iterable
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from easq.prove.bench import svg
from easq.prove.bench.bench_figures import figures_of
from easq.prove.bench.compare import Gain, SeedTable
from easq.prove.bench.plan import BenchExperiment, BenchSize, Variant, cells_of, scenario_name
from easq.prove.bench.row_store import MetricRow

GAIN = Gain(0.0, None, None, 1)
SIZE = BenchSize(views=1000, answers=0.001, seeds=(1, 2, 3), experiments=("one",))
VALUES = {"behavior": 0.5, "easq": 0.6, "mmoe": 0.55, "oracle": 0.9}


def table(experiment: BenchExperiment) -> SeedTable:
    """Return a table in which each method has a value of its own, a little higher with every seed."""

    def rows() -> Iterable[MetricRow]:
        for cell in cells_of(experiment, SIZE):
            value = VALUES[cell.arm.method] + 0.01 * cell.seed * (cell.arm.method == "easq")
            for metric in ("true_sat@3", "behavior@3"):
                scenario = scenario_name(cell.place, SIZE)
                yield MetricRow(
                    method=cell.arm.name, scenario=scenario, seed=cell.seed, metric=metric, value=value
                )

    return SeedTable(rows())


def texts(drawing: str) -> list[str]:
    """Return all words of a drawing, which must be well-formed."""
    root = ElementTree.fromstring(drawing)
    return [element.text or "" for element in root.iter() if element.tag.endswith("text")]


def test_methods_stand_in_rows_with_scenarios_side_by_side() -> None:
    experiment = BenchExperiment("Title", ("behavior", "easq", "mmoe", "oracle"))
    (drawn,) = figures_of(experiment, table(experiment), SIZE)
    words = texts(drawn.svg)
    assert {"Title", "main", "bait", "easq", "mmoe"} <= set(words)
    assert "oracle" not in words
    assert "behavior" not in words
    assert [trace.name for trace in drawn.figure.data] == ["main", "bait"]
    assert list(drawn.figure.data[0].x) == pytest.approx([0.12, 0.05])


def test_answers_are_an_axis_by_powers_of_ten_and_a_scenario_a_figure() -> None:
    experiment = BenchExperiment("Title", ("behavior", "easq", "mmoe"), answers=(0.0001, 0.001, 0.01))
    drawn = list(figures_of(experiment, table(experiment), SIZE))
    assert [one.title for one in drawn] == ["Title: main", "Title: bait"]
    words = texts(drawn[0].svg)
    assert [word for word in words if word.startswith("1e")] == ["1e-4", "1e-3", "1e-2"]
    assert "answers a view" in words
    assert [trace.name for trace in drawn[0].figure.data] == ["easq", "mmoe"]
    assert list(drawn[0].figure.data[0].x) == [0.0001, 0.001, 0.01]


def test_bias_is_an_axis() -> None:
    experiment = BenchExperiment("Title", ("behavior", "easq"), bias=(0.0, 1.0, 3.0))
    drawn = list(figures_of(experiment, table(experiment), SIZE))
    assert [one.title for one in drawn] == ["Title: main", "Title: bait"]
    assert list(drawn[1].figure.data[0].x) == [0, 1, 3]


def test_titles_name_the_differences_that_no_axis_shows() -> None:
    experiment = BenchExperiment("Title", ("behavior", "easq"), answers=(0.001, 0.01), bias=(0.0, 1.0))
    drawn = list(figures_of(experiment, table(experiment), SIZE))
    assert [one.title for one in drawn] == [
        "Title: main, bias 0",
        "Title: bait, bias 0",
        "Title: main",
        "Title: bait",
    ]
    assert all(list(one.figure.data[0].x) == [0.001, 0.01] for one in drawn)


def test_an_experiment_without_rows_has_no_figure() -> None:
    assert list(figures_of(BenchExperiment("Title", ("behavior",)), SeedTable([]), SIZE)) == []


@pytest.mark.parametrize("length", [4, 24, 60])
def test_names_of_a_legend_do_not_overlap(length: int) -> None:
    names = [f"{number:0{length}}" for number in range(7)]
    drawing = svg.lines("Title", "x", "y", {name: [svg.Point(-1.0, 0.1)] for name in names})
    result = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="start">(\d+)<', drawing)
    assert len(result) == 7
    by_line: dict[str, list[float]] = {}
    for x, y, _ in result:
        by_line.setdefault(y, []).append(float(x))
    for starts in by_line.values():
        for start, following in pairwise(starts):
            assert following - start > 6.2 * length


@pytest.mark.parametrize("reach", [0.0007, 0.03, 1.0, 47.0, 12_345.0])
def test_ticks_are_round_and_few(reach: float) -> None:
    drawing = svg.dots("Title", "unit", {"row": {"main": Gain(reach, -reach / 3, reach, 3)}})
    ticks = [word for word in texts(drawing) if re.fullmatch(r"-?[\d.]+", word)]
    assert 3 <= len(ticks) <= 8
    numbers = [float(word) for word in ticks]
    assert 0 in numbers
    step = numbers[1] - numbers[0]
    assert numbers == pytest.approx([numbers[0] + step * place for place in range(len(numbers))])
    assert len(f"{step:.6g}".strip("0.").replace(".", "").lstrip("0")) == 1


def test_a_response_without_any_gain_has_no_figure() -> None:
    experiment = BenchExperiment("Title", ("behavior",), answers=(0.001, 0.01))
    assert list(figures_of(experiment, table(experiment), SIZE)) == []


def test_bias_is_an_axis_from_zero_where_answers_are_named_but_not_varied() -> None:
    experiment = BenchExperiment("Title", ("behavior", "easq"), answers=(0.002,), bias=(0.0, 1.0))
    drawn = list(figures_of(experiment, table(experiment), SIZE))
    assert [one.figure.layout.xaxis.type for one in drawn] == ["linear", "linear"]


def test_long_names_of_rows_are_broken_and_leave_room() -> None:
    name = "easq_plus, " + " ".join(f"alignment.some_long_setting_{n}=0.001" for n in range(4))
    drawing = svg.dots("Title", "unit", {name: {"main": Gain(0.5, 0.1, 0.7, 3)}, "b": {"main": GAIN}})
    assert " ".join(word for word in texts(drawing) if "easq_plus" in word or "some_long" in word) == name
    assert all(0 <= float(x) <= 720 for x in re.findall(r' x1?="([-\d.]+)"', drawing))
    lines = re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', drawing)
    spans = [float(high) - float(low) for low, high in lines]
    assert min(spans) == 0  # the line at zero
    assert max(spans) > 100


@pytest.mark.parametrize("values", [(0.002, 0.004, 0.008), (0.0021, 0.0099), (0.9, 1.1)])
def test_a_log_axis_within_a_decade_has_ticks(values: tuple[float, ...]) -> None:
    drawing = svg.lines("Title", "x", "y", {"one": [svg.Point(x, 0.1) for x in values]}, log=True)
    ticks = re.findall(r'text-anchor="middle">([\d.e-]+)<', drawing)
    assert ticks
    assert [float(tick) for tick in ticks] == sorted(map(float, ticks))


def test_a_figure_of_one_point_can_be_drawn() -> None:
    assert "Title" in texts(svg.dots("Title", "unit", {"row": {"main": Gain(0.0, None, None, 1)}}))
    assert "Title" in texts(svg.lines("Title", "x", "y", {"one": [svg.Point(0.001, 0.0)]}, log=True))


def test_strengths_of_a_method_are_joined_and_kinds_are_not() -> None:
    experiment = BenchExperiment(
        "Title",
        ("behavior", "easq", "oracle"),
        (
            Variant(("easq",), "price 3 %", ()),
            Variant(("mmoe",), "weak", ()),
            Variant(("mmoe",), "strong", ()),
        ),
        figure="frontier",
    )
    drawn = list(figures_of(experiment, table(experiment), SIZE))
    assert [one.title for one in drawn] == ["Title: main", "Title: bait"]
    traces = {trace.name: list(trace.hovertext) for trace in drawn[0].figure.data}
    assert set(traces) == {"easq", "mmoe, weak", "mmoe, strong"}
    assert set(traces["easq"]) == {"easq", "easq, price 3 %"}
    assert drawn[0].svg.count("<polyline") == 3

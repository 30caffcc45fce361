import xml.etree.ElementTree as ET

import pytest

from easq.sources.world import check_figure, real_figures
from easq.sources.world.realism import CheckRow, check, lab_values


@pytest.fixture(scope="module")
def rows() -> list[CheckRow]:
    return check(seed=1, views=4_000_000)


def test_every_figure_that_is_held_lies_within_its_tolerance(rows: list[CheckRow]) -> None:
    outside = [row for row in rows if row.held and not row.inside]
    assert not outside, check_figure.markdown(outside)


def test_main_feed_is_held_to_every_figure(rows: list[CheckRow]) -> None:
    assert len(rows) == len(real_figures.FEED) + len(real_figures.LAB) + len(real_figures.PEOPLE) > 90
    assert all(row.held for row in rows)


def test_another_feed_is_held_to_people_and_not_to_the_main_feed() -> None:
    rows = check(seed=2, views=100_000, scenario="bait")
    assert {row.source for row in rows if row.held} == {"EEG-SVRec", "Wikimedia"}


def test_check_is_the_same_each_time_and_differs_by_seed() -> None:
    first, second, other = (check(seed, 20_000) for seed in (3, 3, 4))
    assert first == second != other


def test_tolerances_leave_room_for_a_sampling_error_and_little_more() -> None:
    held = [f for f in real_figures.FEED if f.value > 0.01]
    assert all(0.02 < f.tolerance / f.value < 0.6 for f in held if f.group != "play")


def test_laboratory_gives_every_figure_of_its_own() -> None:
    result = lab_values(seed=2, num_people=50)
    assert {group for group, _ in result} == {f.group for f in real_figures.LAB}


def test_row_is_inside_up_to_its_tolerance() -> None:
    row = CheckRow("g", "n", 1.0, 1.2, 0.2, "s", held=True)
    assert row.inside
    assert not row._replace(simulated=1.21).inside
    assert [check_figure.word(r) for r in (row, row._replace(simulated=2.0), row._replace(held=False))] == [
        "inside",
        "outside",
        "not held",
    ]


def test_table_and_figure_show_every_row(rows: list[CheckRow]) -> None:
    assert len(check_figure.markdown(rows).splitlines()) == len(rows) + 2
    figure = ET.fromstring(check_figure.svg(rows, "a <world>"))
    dots = [e for e in figure.iter() if e.tag.endswith("circle")]
    assert len(dots) == len(rows)

import polars as pl
import pytest

from easq.features.columns import UNKNOWN
from easq.log.ids import stable_id
from easq.sources.datasets.cells import blank, id_lists, ids, inexact, number, whole

CELLS = {
    "c": ["7", " 7 ", "7.0", "7.5", "-124", "", None, "x", "nan", "inf", "1e3", "True", "9007199254740993"]
}


def read(cell: pl.Expr) -> list[object]:
    return pl.DataFrame(CELLS).select(cell).to_series().to_list()


def test_numbers_are_finite_or_nothing() -> None:
    assert read(number("c")) == [7, 7, 7, 7.5, -124, None, None, None, None, None, 1000, 1, 2.0**53]


def test_whole_numbers_are_exact() -> None:
    assert read(whole("c")) == [7, 7, 7, None, -124, None, None, None, None, None, 1000, None, 2**53 + 1]


def test_blank_cells_hold_nothing() -> None:
    assert [place for place, is_blank in enumerate(read(blank("c"))) if is_blank] == [5, 6]


def test_whole_floats_that_may_stand_for_several_ids_are_known_by_how_programs_write_them() -> None:
    assert all(are_inexact("1e+16", "1.2345678E7", "1.0E16", " 1.0e16", "-1.5e+20", "16777216e+0"))
    assert are_inexact("9007199254740992.0", "9007199254740991.0") == [True, False]
    exact = ("12345678", "9007199254740993", "1.5", "7.0", "12e45678", "1e16", "1.5E-3", "x1.0E16", "", None)
    assert not any(are_inexact(*exact))


def are_inexact(*texts: str | None) -> list[bool | None]:
    return pl.DataFrame({"c": texts}, {"c": pl.String}).select(inexact(pl.col("c"))).to_series().to_list()


def test_whole_numbers_stand_for_themselves_and_text_for_its_stable_id() -> None:
    values = ["7", "7.0", " 7", "007", "a", "", None, "(0,10]", "-124", "99999999999999999999"]
    text = {place: stable_id(str(values[place])) for place in (3, 4, 7, 9)}
    expected = [text.get(place, UNKNOWN) for place in range(len(values))]
    expected[:3], expected[8] = [7, 7, 7], -124
    assert ids(pl.Series("c", values)).to_list() == expected
    assert ids(pl.Series("c", [1, None])).to_list() == [1, UNKNOWN]
    assert ids(pl.Series("c", [], pl.String)).to_list() == []


@pytest.mark.parametrize("separator", [",", "|", "; "])
def test_lists_of_ids_leave_out_empty_parts(separator: str) -> None:
    texts = ["12,65", None, "", ",", " a , 12 ,", "a"]
    values = pl.Series("c", [text and text.replace(",", separator) for text in texts])
    a = stable_id("a")
    assert id_lists(values, separator).to_list() == [[12, 65], [], [], [], [a, 12], [a]]
    assert id_lists(pl.Series("c", [], pl.String), separator).to_list() == []

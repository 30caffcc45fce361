"""What a message quotes is short, and only what it quotes is looked at."""

from typing import Any

import pytest

from easq.errors import cut, first_unknown, format_value


class Counted:
    """Counts how often its text was asked for."""

    asked = 0

    def __repr__(self) -> str:
        Counted.asked += 1
        return "counted"


@pytest.mark.parametrize("hold", [list, tuple, lambda many: dict(enumerate(many))])
def test_of_many_entries_only_a_few_are_looked_at(hold: Any) -> None:
    Counted.asked = 0
    text = format_value([hold([Counted()] * 10_000)] * 10_000)
    assert len(text) <= 60
    assert Counted.asked < 100


@pytest.mark.parametrize("value", ["x" * 10_000, b"x" * 10_000, [b"x" * 10_000], 1 << 64, -1.5, None])
def test_every_value_is_short(value: Any) -> None:
    assert 0 < len(format_value(value)) <= 60


def test_lists_in_lists_of_any_depth_have_a_text() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert format_value(deep) == "[[[[...]]]]"


def test_text_is_cut_at_its_length_and_not_before() -> None:
    assert (cut("abcdef", 6), cut("abcdefg", 6)) == ("abcdef", "abc...")


def test_the_first_unknown_name_is_cut() -> None:
    assert first_unknown(["a", "b" * 100, "c"], ["a"]) == "b" * 57 + "..."
    assert first_unknown(["a"], ["a", "c"]) is None

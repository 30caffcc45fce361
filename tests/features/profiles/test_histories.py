import pytest

from easq.features.profiles import Histories


def test_history_holds_the_last_items_oldest_first() -> None:
    histories: Histories[int] = Histories(3)
    histories.observe("u", [1, 2])
    histories.observe("u", [3, 4])
    assert list(histories.recent("u")) == [2, 3, 4]
    assert list(histories.recent("stranger")) == []


def test_a_history_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Histories(0)

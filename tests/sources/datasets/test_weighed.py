"""Answers of a table count as they would have counted live."""

from pathlib import Path
from typing import Any

import pytest

from easq.log.events import Answered, Request
from easq.log.packing import pack_ids
from easq.recipe.questionnaire import Quality
from easq.sources.datasets.weighed import weighed
from tests.sources.datasets.test_table import ANSWER, load, view
from tests.support.small_datasets import MINUTE, NOON, events_of


def answers(folder: Path, rows: list[dict[str, Any]], answer: str = ANSWER) -> list[Answered]:
    return [e for e in events_of(load(folder, rows, answer=answer)) if isinstance(e, Answered)]


def many(num: int, user: str = "u{}", item: str = "v{}", gap: int = 3 * MINUTE) -> list[dict[str, Any]]:
    return [
        view(user.format(n), item.format(n), NOON + n * gap, survey=(1, 4)[n % 3 > 0]) for n in range(num)
    ]


def test_one_viewers_answers_are_limited(tmp_path: Path) -> None:
    one = answers(tmp_path, many(40, user="u"))
    assert [event.flags for event in one[:10]] == [[]] * 10
    assert [event.flags for event in one[10:]] == [["daily_limit"]] * 30
    assert sum(event.weight for event in one) == 10
    several = answers(tmp_path, many(40))
    assert [event.weight for event in several] == [1.0] * 40


@pytest.mark.parametrize(
    ("more", "counted"), [("weigh = false", 40), ("[quality]\nmax_per_day = 3", 3), ("weigh = true", 10)]
)
def test_the_mapping_says_whether_and_how_answers_are_weighed(
    tmp_path: Path, more: str, counted: int
) -> None:
    said = answers(tmp_path, many(40, user="u"), f"{ANSWER}\n{more}")
    assert sum(event.weight for event in said) == counted


def test_a_flood_about_one_author_is_found(tmp_path: Path) -> None:
    rows = many(60) + [view(f"w{n}", "same", NOON + n * MINUTE, survey=4) for n in range(300)]
    flooded = [event for event in answers(tmp_path, rows) if "flood" in event.flags]
    assert len(flooded) > 100
    assert {event.item_id for event in flooded} == {"same"}
    authors = Request(
        event_id="r",
        user_id="u",
        ts=NOON,
        items=["a", "b"],
        viewer={},
        candidates={"author_id": pack_ids([7, 7])},
    )
    said = [
        Answered(
            event_id=f"a{n}",
            user_id=f"u{n}",
            ts=NOON + n,
            request_id="r",
            item_id="ab"[n % 2],
            question="q",
            option="good",
            propensity=1.0,
        )
        for n in range(12)
    ]
    (chunk,) = weighed([[authors, *said]], Quality())
    assert sum(isinstance(e, Answered) and e.weight < 1 for e in chunk) >= 6


def test_a_behavior_of_an_impossible_size_rejects_its_row(tmp_path: Path) -> None:
    loaded = load(tmp_path, [view("u", "a", NOON, liked=1), view("u", "b", NOON, liked=3.4e38)])
    assert loaded.rejects.rows == {"out_of_range_liked": 1}

"""Options whose order the behavior contradicts are told, and noise is not."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from easq.recipe.likely_direction import likely_direction
from easq.sources.datasets import load
from easq.sources.datasets.order_doubt import LEAST_ANSWERS, OrderDoubt, ends_of, order_doubts
from easq.sources.datasets.rows import DID
from tests.sources.datasets.test_table import ANSWER, COLUMNS, mapping, view
from tests.support.small_datasets import MINUTE, NOON, write_csv

ENDS = "dissatisfied", "satisfied"


def views(seed: int, effect: float, num: int = 400, num_viewers: int = 80, skew: float = 0.0) -> pl.DataFrame:
    """Return answered views; a like is by `effect` likelier where the answer was "satisfied"."""
    random = np.random.default_rng(seed)
    user_R, is_best_R = random.integers(0, num_viewers, num), random.random(num) < 0.5
    taste_U = random.normal(0, skew, num_viewers)
    is_best_R = random.random(num) < 1 / (1 + np.exp(-taste_U[user_R])) if skew else is_best_R
    chance_R = np.clip(0.3 + effect * is_best_R + 0.1 * taste_U[user_R], 0.01, 0.99)
    like_R = random.random(num) < chance_R
    return pl.DataFrame({
        "user": user_R.astype(str),
        "option": np.where(is_best_R, ENDS[1], ENDS[0]),
        f"{DID}like": like_R.astype(np.float32),
        f"{DID}hate": (1 - like_R).astype(np.float32),
        f"{DID}click": like_R.astype(np.float32),
    })  # fmt: skip


def found(rows: pl.DataFrame) -> list[OrderDoubt]:
    return order_doubts(rows, ["like", "hate", "click"], *ENDS)


def test_a_scale_upside_down_is_told_with_its_numbers() -> None:
    like, hate = found(views(1, -0.25))
    assert (like.behavior, hate.behavior) == ("like", "hate")
    assert like.with_best < like.with_worst
    assert (like.z, hate.z) == (pytest.approx(-hate.z), pytest.approx(-like.z))
    assert like.z < -3.29
    assert like.best_answers + like.worst_answers == 400
    assert "there is less like with 'satisfied'" in str(like)
    assert "there is more hate with 'satisfied'" in str(hate)
    assert found(views(1, 0.25)) == []


def test_noise_is_not_told() -> None:
    told = [doubt for seed in range(400) for doubt in found(views(seed, 0.0))]
    # Half of two-sided alarms at .001, of two behaviors that are one: 0.2 of 400 tables.
    assert len(told) <= 4


def test_viewers_who_answer_and_like_alike_are_not_taken_for_independent_answers() -> None:
    told = [d for seed in range(100) for d in found(views(seed, 0.0, num=4000, num_viewers=25, skew=1.5))]
    plain = [d for seed in range(100) for d in found(views(seed, 0.0, num=4000, num_viewers=4000))]
    assert len(told) <= len(plain) + 4


def test_few_answers_and_few_viewers_say_nothing() -> None:
    few = views(1, -0.29, num=4 * LEAST_ANSWERS)
    assert found(few)
    best = pl.col("option") == ENDS[1]
    assert found(pl.concat([few.filter(~best), few.filter(best).head(LEAST_ANSWERS - 1)])) == []
    assert found(views(1, -0.29, num_viewers=19)) == []


def test_an_order_is_known_of_the_built_in_questions_alone() -> None:
    assert ends_of("satisfaction", ["satisfied", "dissatisfied"]) == ENDS
    assert ends_of("come_back", ["2", "4", "3"]) == ("2", "4")
    assert ends_of("satisfaction", ["good", "bad"]) is None
    assert ends_of("satisfaction", ["satisfied"]) is None


@pytest.mark.parametrize(
    ("name", "valence", "direction"),
    [("like", 0, 1), ("like", -1, -1), ("isLike", 0, 1), ("dislike", 0, -1), ("played_s", 0, 0), ("x", 2, 1)],
)
def test_a_direction_is_that_of_the_valence_or_of_a_name_with_one_meaning(
    name: str, valence: float, direction: int
) -> None:
    assert likely_direction(name, valence) == direction


def test_an_import_tells_it(tmp_path: Path) -> None:
    def row(n: int) -> dict[str, Any]:
        is_liked = n % 2
        return view(f"u{n % 40}", f"v{n}", NOON + n * MINUTE, liked=is_liked, survey=1 if is_liked else 4)

    file = write_csv(tmp_path / "v.csv", COLUMNS, [row(n * 7) for n in range(300)])
    summary = load("table", file, tmp_path / "a.log", mapping(tmp_path, answer=ANSWER))
    (doubt,) = summary["order_doubt"]
    assert (doubt["behavior"], doubt["with_best"], doubt["with_worst"]) == ("like", 0.0, 1.0)
    assert (doubt["best_answers"], doubt["worst_answers"]) == (150, 150)

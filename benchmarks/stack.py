"""Beside a ranker that a team already has: its score alone, and its score with the probe beside it.

    python benchmarks/stack.py [--views N] [--seeds 1 2 3] [--chances] [--no-vectors] [--json]
    python benchmarks/stack.py --table views.parquet [--views N]

A made stack: 4,000 viewers, 8,000 items of 600 authors and 24 topics; requests of ten views in the order of
a production score. The team has three upstream predictions (click, long view, like), good but not perfect,
and adds them up to that score, which orders two of three pairs of a request as behavior does. One view in a
hundred is answered. Viewers click on what is made to be clicked; what satisfies them is partly another thing,
which the score does not know. `easq` gets ids, the items' vectors and the score; with `--chances` the probe
reads the team's predictions instead of learning behavior, and then nothing reads the vectors. Read with
stack.toml and stack_mapping.toml.
"""

import argparse
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
from common import show

from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.offline.replay import replay
from easq.prove.offline.tally import Interval
from easq.recipe.read import decode_recipe, override
from easq.recipe.recipe import Recipe
from easq.sources.datasets import load

_VIEWERS, _ITEMS, _AUTHORS, _TOPICS, _COUNTRIES, _RANK, _SIZE = 4_000, 8_000, 600, 24, 20, 8, 10
_VECTOR = 64
CHANCES = ("p_click", "p_long", "p_like")
RECIPE = Path(__file__).with_name("stack.toml")


def make_stack(views: int, seed: int) -> pl.DataFrame:
    """Return the team's log as a table, a view in each row."""
    random = np.random.default_rng(seed)
    author_I = random.integers(0, _AUTHORS, _ITEMS)
    topic_I = (author_I * 7 + random.integers(0, 3, _ITEMS)) % _TOPICS
    taste_VD = random.normal(0, 0.5, (_VIEWERS, _RANK))
    kind_ID = 0.6 * random.normal(0, 0.5, (_TOPICS, _RANK))[topic_I] + random.normal(0, 0.4, (_ITEMS, _RANK))
    # What makes a viewer click, what an author is worth, and what of a topic a viewer regrets.
    lure_I = random.normal(0, 0.4, _ITEMS) + random.normal(0, 0.2, _AUTHORS)[author_I]
    worth_I = random.normal(0, 0.7, _AUTHORS)[author_I] + random.normal(0, 0.4, _ITEMS)
    regret_VT = random.normal(0, 0.5, (_VIEWERS, _TOPICS))
    vector_IE = np.concatenate([kind_ID, lure_I[:, None], worth_I[:, None]], 1) @ random.normal(
        0, 0.3, (_RANK + 2, _VECTOR)
    ) + random.normal(0, 0.1, (_ITEMS, _VECTOR))
    request_R = np.arange(views) // _SIZE
    viewer_R = random.integers(0, _VIEWERS, request_R[-1] + 1)[request_R]
    item_R = random.integers(0, _ITEMS, views)
    match_R = (taste_VD[viewer_R] * kind_ID[item_R]).sum(1)
    click_R = -0.4 + 1.2 * match_R + lure_I[item_R]
    long_R = -1.2 + 1.2 * match_R + 0.5 * lure_I[item_R] + 0.3 * worth_I[item_R]
    like_R = -3.0 + 0.8 * match_R + 0.6 * worth_I[item_R]
    felt_R = 0.6 * match_R + worth_I[item_R] - 0.4 * lure_I[item_R] + regret_VT[viewer_R, topic_I[item_R]]
    chances = {
        name: _chance(logit_R + random.normal(0, 1.0, views))
        for name, logit_R in (("p_click", click_R), ("p_long", long_R), ("p_like", like_R))
    }
    score_R = chances["p_click"] + chances["p_long"] + 2 * chances["p_like"]
    opinion_R = felt_R + random.logistic(0, 0.7, views)
    is_asked_R = random.random(views) < 0.01
    said_R = np.where(opinion_R > 0.5, "satisfied", np.where(opinion_R < -0.5, "dissatisfied", "uncertain"))
    table = pl.DataFrame({
        "request": request_R,
        "ts": 1_700_000_000_000 + request_R * 4000,
        "viewer": viewer_R,
        "country": viewer_R % _COUNTRIES,
        "item": item_R,
        "author": author_I[item_R],
        "topic": topic_I[item_R],
        **chances,
        "prod_score": score_R,
        "vector": list(vector_IE.astype(np.float32)[item_R]),
        **{
            name: (random.random(views) < _chance(logit_R)).astype(np.int64)
            for name, logit_R in (("click", click_R), ("long", long_R), ("like", like_R))
        },
    })  # fmt: skip
    asked = pl.lit(is_asked_R)
    return table.with_columns(survey=pl.when(asked).then(pl.lit(said_R)), p=pl.when(asked).then(0.01)).sort(
        "request", "prod_score", descending=[False, True], maintain_order=True
    )


def _chance(logit_R: np.ndarray) -> np.ndarray:
    chance_R: np.ndarray = 1 / (1 + np.exp(-logit_R))
    return chance_R


def stack_recipe(*changes: str, chances: bool = False, vectors: bool = True) -> Recipe:
    """Return the recipe of stack.toml; with `chances` on the team's predictions, and without vectors."""
    data = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    if chances or not vectors:
        data["features"] = [feature for feature in data["features"] if feature["kind"] != "vector"]
    if chances:
        data["method"]["chances"] = list(CHANCES)
    for change in changes:
        override(data, change)
    return decode_recipe(data, read_method)


def over_score(views: int, seed: int, *, chances: bool, vectors: bool) -> tuple[Interval, Interval, float]:
    """Return what is served against the score alone, paired, on answers and on behavior; and the score's own.

    Over the whole log, each view scored before anything of its request was learned.
    """
    recipe = stack_recipe(f"seed={seed}", chances=chances, vectors=vectors)
    with tempfile.TemporaryDirectory() as folder:
        table, path = Path(folder) / "stack.parquet", Path(folder) / "events.log"
        make_stack(views, seed).write_parquet(table)
        assert recipe.data is not None and recipe.data.mapping is not None
        load("table", table, path, mapping=RECIPE.parent / recipe.data.mapping, on_progress=lambda *_: None)
        with SqliteLog(path) as log:
            tally = replay(recipe, log, Path(folder) / "run").tally
    said, did = (tally.difference(tally, name, f"prod_score/{name}") for name in ("sat/auc", "pair_accuracy"))
    return said, did, tally.interval("prod_score/pair_accuracy").value


def pooled(values: list[Interval]) -> dict[str, float]:
    """Return the mean over seeds, with the interval of a mean of independent values."""
    mean = sum(v.value for v in values) / len(values)
    half = sum(((v.high - v.low) / 2) ** 2 for v in values) ** 0.5 / len(values)
    return {"value": mean, "low": mean - half, "high": mean + half}


def main() -> None:
    """Run the seeds, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=150_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--chances", action="store_true", help="the probe reads the team's predictions")
    parser.add_argument("--no-vectors", action="store_true", help="the items' vectors are not read")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--table", type=Path, help="only write the team's log of the first seed there")
    options = parser.parse_args()
    if options.table:
        make_stack(options.views, options.seeds[0]).write_parquet(options.table)
        return
    found = [
        over_score(options.views, seed, chances=options.chances, vectors=not options.no_vectors)
        for seed in options.seeds
    ]
    satisfaction, behavior = pooled([f[0] for f in found]), pooled([f[1] for f in found])
    own = sum(f[2] for f in found) / len(found)
    result = {
        "satisfaction_over_score": satisfaction,
        "behavior_over_score": behavior,
        "score_pair_accuracy": own,
    }
    show(
        result,
        options.json,
        lambda: (
            f"what viewers say (AUC of answers): {_text(satisfaction)} over the score alone\n"
            f"behavior (pairs of a request in order): {_text(behavior)}, of the score's {own:.4f}"
        ),
    )


def _text(value: dict[str, float]) -> str:
    return f"{value['value']:+.4f} ({value['low']:+.4f} to {value['high']:+.4f})"


if __name__ == "__main__":
    main()

"""A log whose behavior is mostly a sum over features: where a linear learner is at home.

    python benchmarks/additive.py OUT.parquet [VIEWS]

Requests of ten views; twelve features of 100,000 ids, v0 to v3 of the viewer and c4 to c11 of the item,
evenly drawn or skewed. Two behaviors from first-order weights and a product of low rank; one view in a
hundred is answered. Read it with additive.toml and additive_mapping.toml.
"""

import sys

import numpy as np
import polars as pl

_IDS, _RANK, _VIEWER_FEATURES, _FEATURES, _SIZE = 100_000, 8, 4, 12, 10


def make_additive(views: int, seed: int = 7) -> pl.DataFrame:
    """Return the log as a table, a view in each row."""
    random = np.random.default_rng(seed)
    request = np.arange(views) // _SIZE
    ids: dict[str, np.ndarray] = {}
    sum_R, viewer_RD, item_RD = np.zeros(views), np.zeros((views, _RANK)), np.zeros((views, _RANK))
    for number in range(_FEATURES):
        of_viewer = number < _VIEWER_FEATURES
        drawn = random.random(request[-1] + 1 if of_viewer else views)
        # Two features of three are skewed: a few ids are common, most are rare.
        id_R = (_IDS * (drawn**3 if number % 3 else drawn)).astype(np.int64)
        id_R = id_R[request] if of_viewer else id_R
        ids[f"{'v' if of_viewer else 'c'}{number}"] = id_R
        sum_R += random.normal(0, 0.5, _IDS)[id_R]
        (viewer_RD if of_viewer else item_RD)[:] += random.normal(0, 0.35, (_IDS, _RANK))[id_R]
    click_R = sum_R + (viewer_RD * item_RD).sum(1)
    like_R = 0.6 * click_R - 1 + sum(random.normal(0, 0.4, _IDS)[id_R] for id_R in ids.values())
    felt_R = like_R - 0.3 * click_R + random.logistic(size=views)
    is_asked_R = random.random(views) < 0.01
    said_R = np.where(felt_R > 0.4, "satisfied", np.where(felt_R < -0.6, "dissatisfied", "uncertain"))
    columns = ids | {
        "click": (random.random(views) < 1 / (1 + np.exp(-click_R))).astype(np.int64),
        "like": (random.random(views) < 1 / (1 + np.exp(-like_R))).astype(np.int64),
        "request": request,
        "ts": 1_700_000_000_000 + request * 4000 + (np.arange(views) % _SIZE) * 50,
        "viewer": ids["v0"],
        "item": ids["c4"],
    }
    return pl.DataFrame(columns).with_columns(
        survey=pl.when(pl.lit(is_asked_R)).then(pl.lit(said_R)), p=pl.when(pl.lit(is_asked_R)).then(0.01)
    )


if __name__ == "__main__":
    make_additive(int(sys.argv[2]) if len(sys.argv) > 2 else 300_000).write_parquet(sys.argv[1])

"""A platform's own table with the score of its ranker: what satisfies is another thing than what is done."""

from pathlib import Path

import numpy as np
import polars as pl

RECIPE = """
name = "shop"
seed = 1

[data]
loader = "table"
mapping = "mapping.toml"

[[features]]
name = "viewer"
kind = "categorical"
side = "viewer"
rows = 256

[[features]]
name = "item"
kind = "categorical"
side = "candidate"
rows = 256

[[features]]
name = "author"
kind = "categorical"
side = "candidate"
rows = 64

[[features]]
name = "prod_score"
kind = "score"

[[behaviors]]
name = "liked"

[question]
text = "Satisfied?"
options = ["no", "yes"]

[reference]
feature = "prod_score"

[method]
kind = "probe"
behavior_budget = 0.05

[training]
batch_rows = 256
"""

MAPPING = """
name = "shop"

[columns]
user = "user"
item = "item_id"
time = "ts"
request = "request"

[[features]]
name = "viewer"
column = "user"
side = "viewer"
kind = "categorical"

[[features]]
name = "item"
column = "item_id"
side = "candidate"
kind = "categorical"

[[features]]
name = "author"
column = "author"
side = "candidate"
kind = "categorical"

[[features]]
name = "prod_score"
column = "prod_score"
side = "candidate"
kind = "score"

[[behaviors]]
name = "liked"
column = "liked"

[answer]
column = "survey"
options = { no = "no", yes = "yes" }
weigh = false
"""


def own_table(num_requests: int, seed: int = 1, told: float = 0.3) -> pl.DataFrame:
    """Return up to eight views a request: likes follow the score, satisfaction follows the author."""
    random = np.random.default_rng(seed)
    request_R = np.repeat(np.arange(num_requests), 8)
    item_R = random.integers(0, 80, len(request_R))
    author_R = item_R % 10
    score_R = random.normal(0, 1, len(request_R))
    satisfied_R = random.random(len(request_R)) < np.where(author_R < 5, 0.9, 0.1)
    told_R = random.random(len(request_R)) < told
    survey_R = np.where(told_R, np.where(satisfied_R, "yes", "no"), "")
    return pl.DataFrame({
        "request": [f"r{n}" for n in request_R],
        "user": [f"u{n % 100}" for n in request_R],
        "ts": 1_700_000_000_000 + request_R * 60_000,
        "item_id": [f"i{n}" for n in item_R],
        "author": [f"a{n}" for n in author_R],
        "prod_score": score_R,
        "liked": (random.random(len(request_R)) < 1 / (1 + np.exp(-score_R))).astype(np.int64),
        "survey": pl.Series(survey_R).replace("", None),
    }).unique(["request", "item_id"], maintain_order=True)  # fmt: skip


def write_own(folder: Path, num_requests: int) -> tuple[Path, Path]:
    """Write table, mapping and recipe; return the table and the recipe."""
    folder.mkdir(exist_ok=True)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "mapping.toml").write_text(MAPPING)
    own_table(num_requests).write_parquet(folder / "views.parquet")
    return folder / "views.parquet", folder / "recipe.toml"

"""A small plan and what tests of the bench need of it."""

import json
from pathlib import Path

from easq.prove.bench.plan import read_plan
from easq.prove.bench.runner import Bench
from tests.support.paths import RECIPES

PLAN = """
candidates = 20
together = 2

[own]
kept = [0.5]
seeds = [1]
methods = ["behavior", "probe", "linear"]

[sizes.tiny]
views = 6000
answers = 0.02
seeds = [1, 2]
experiments = ["compare", "rates"]

[experiments.compare]
title = "Methods"
methods = ["behavior", "probe", "easq", "random", "popularity", "oracle"]

[experiments.rates]
title = "Answers"
methods = ["behavior", "probe"]
scenarios = ["main"]
answers = [0.01, 0.02]
most_seeds = 1
figure = "frontier"
variants = [{ of = ["probe"], label = "no price", set = ["method.behavior_budget=0"] }]

[experiments.rates.trials]
probe = [["method.ridge=1"], ["method.ridge=50"]]
"""


def small_bench(folder: Path) -> Bench:
    plan = folder / "plan.toml"
    plan.write_text(PLAN)
    whole = read_plan(plan)
    return Bench(
        RECIPES / "world.toml", RECIPES / "bench" / "methods", whole, whole.sizes["tiny"], folder / "out"
    )


def contents(out: Path) -> dict[str, bytes]:
    """Return all that a bench has written and that must not depend on how it came about."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "times.txt"
    }


def rows_of(out: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((out / "rows.json").read_text())
    return rows

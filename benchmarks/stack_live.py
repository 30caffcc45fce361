"""The made stack of stack.py beside a live system: answers in the shadow, and scores for a whole table.

    python benchmarks/stack_live.py [--rows N] [--json]

In the shadow: 200 candidates are ranked for three viewers, each is shown the ten that we rank last, and says
something about each of them: how many of the 30 answers are learned? Then a table of candidates is scored by
`easq score`, with the process's start in the time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from common import show
from live import free_port, is_ready, running, wait_until
from stack import make_stack, stack_recipe

from easq.home.home import open_home
from easq.service.client import Client

_CANDIDATES, _SHOWN, _VIEWERS = 200, 10, 3
_SETTINGS = (
    "join.behavior_window=0.2",
    "join.answer_window=5.0",
    "join.lateness=0.05",
)


def measured(num_rows: int) -> dict[str, Any]:
    """Return how many answers in the shadow were sent and learned, and the rows scored each second."""
    recipe = stack_recipe(*_SETTINGS, chances=True)
    with tempfile.TemporaryDirectory() as folder:
        home, port = open_home(Path(folder) / "home", recipe), free_port()
        with running(home.folder, "learn", "serve", port=port):
            wait_until(lambda: is_ready(port), "the service")
            with Client(f"http://127.0.0.1:{port}") as client:
                sent = sum(_say_in_the_shadow(client, f"viewer {n}") for n in range(_VIEWERS))
            wait_until(lambda: home.read_status("learner").get("answers", 0) >= sent, "the answers")
            time.sleep(1.0)  # more of them than were sent would be an error too
            learned = home.read_status("learner")["answers"]
        return {
            "shadow_sent": sent,
            "shadow_learned": learned,
            "batch_rows_per_second": _rows_per_second(Path(folder), home.folder, num_rows),
        }


def _say_in_the_shadow(client: Client, viewer: str) -> int:
    """Show a viewer what we rank last, and tell of it; return the number of accepted answers."""
    items = [f"item {n}" for n in range(_CANDIDATES)]
    features = {
        name: [(n * step % 97) / 97 for n in range(_CANDIDATES)]
        for name, step in (("prod_score", 31), ("p_click", 7), ("p_long", 11), ("p_like", 13))
    }
    last = client.rank(viewer, items, features=features).items[-_SHOWN:]
    ranking = client.rank(viewer, items, features=features, shown=last)
    head = {"user_id": viewer, "request_id": ranking.request_id}
    did = {"click": [1.0] * _SHOWN, "long": [1.0] * _SHOWN}
    said = {
        "type": "answered",
        "question": "satisfaction",
        "option": "satisfied",
        "propensity": 0.01,
    }
    outcomes = client.send([
        {**head, "type": "behavior", "items": last, "values": did},
        *({**head, **said, "item_id": item} for item in last),
    ])  # fmt: skip
    return sum(outcome.is_accepted for outcome in outcomes[1:])


def _rows_per_second(folder: Path, home: Path, num_rows: int) -> float:
    table = folder / "candidates.parquet"
    make_stack(num_rows, 1).select(
        pl.format("viewer {}", "viewer").alias("user_id"),
        pl.format("item {}", "item").alias("item_id"),
        "viewer", "country", "item", "author", "topic", "prod_score", "p_click", "p_long", "p_like",
    ).write_parquet(table)  # fmt: skip
    command = [sys.executable, "-m", "easq.cli", "score", "--home", str(home), "--data", str(table)]
    begin = time.perf_counter()
    subprocess.run([*command, "--out", str(folder / "scores.parquet")], check=True, capture_output=True)
    return num_rows / (time.perf_counter() - begin)


def main() -> None:
    """Run both, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measured(options.rows)
    show(
        result,
        options.json,
        lambda: (
            f"in the shadow: {result['shadow_sent']} answers sent, {result['shadow_learned']} learned\n"
            f"a table: {result['batch_rows_per_second']:,.0f} rows scored a second"
        ),
    )


if __name__ == "__main__":
    main()

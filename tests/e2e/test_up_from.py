"""`easq up --from`: a new system that has learned a table before it ranks."""

import signal
from pathlib import Path

import httpx

from easq.home.home import open_home
from tests.sources.datasets.test_table import ANSWER, COLUMNS, mapping, view
from tests.support.live_processes import EASQ, PATIENCE_S, Role, free_port, is_ready, until
from tests.support.small_datasets import MINUTE, NOON, write_csv

RECIPE = """
name = "shop"
seed = 1
[[features]]
name = "item"
kind = "categorical"
side = "candidate"
rows = 64
[[features]]
name = "country"
kind = "categorical"
side = "viewer"
rows = 64
[[behaviors]]
name = "like"
[question]
text = "Satisfied?"
options = ["dissatisfied", "satisfied"]
[training]
batch_rows = 64
threads = 1
[live]
flush_seconds = 0.5
[join]
behavior_window = 180.0
answer_window = 180.0
"""


def test_a_new_system_learns_its_history_before_it_ranks_and_takes_no_second_one(tmp_path: Path) -> None:
    rows = [
        view(f"u{n % 7}", f"v{n % 30}", NOON + n * MINUTE, liked=n % 2, survey=4 if n % 3 else 1)
        for n in range(900)
    ]
    table, declared = write_csv(tmp_path / "v.csv", COLUMNS, rows), mapping(tmp_path, answer=ANSWER)
    recipe, home, port = tmp_path / "r.toml", tmp_path / "home", free_port()
    recipe.write_text(RECIPE)
    words = ["up", "--home", home, "--recipe", recipe, "--from", table, "--mapping", declared, "--port", port]
    up = Role([*EASQ, *map(str, words)], tmp_path / "up.txt")
    url = f"http://127.0.0.1:{port}"

    def output() -> str:
        return up.output.read_text()

    def is_learned() -> bool:
        status = open_home(home).read_status("learner")
        return status["lag_events"] == 0 and status["answers"] > 500

    try:
        up.start()
        until(lambda: is_ready(url), output)
        assert is_learned(), output()
        reply = httpx.post(f"{url}/v1/rank", json={"user_id": "u1", "candidates": ["v1", "v2"]})
        assert reply.status_code == 200, reply.text
        assert up.end(signal.SIGTERM) == 0
        up.start()
        assert up.process is not None
        assert up.process.wait(PATIENCE_S) == 2
        words_said = " ".join(output().split())
        assert "900 rows:" in words_said
        assert "a history comes before all others" in words_said
    finally:
        if up.process is not None and up.process.poll() is None:
            up.kill()

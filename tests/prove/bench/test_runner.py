"""A bench of several cells: in one process, in several, killed and gone on with, to the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from easq.errors import InputError
from easq.prove.bench.bench_report import write
from easq.prove.bench.linear import LinearSettings
from easq.prove.bench.plan import BenchArm, BenchWorld, Cell
from easq.prove.bench.row_store import MetricRow, read_rows, write_rows
from easq.prove.bench.runner import run
from easq.prove.bench.world_pass import Sitting, kept_share, refuse_too_many, run_pass
from easq.recipe.read import read_recipe
from tests.support.small_plan import RECIPES, contents, rows_of, small_bench
from tests.support.small_worlds import small_recipe


def command(folder: Path, workers: int) -> list[str]:
    bench = small_bench(folder)
    paths = ["--plan", str(folder / "plan.toml"), "--out", str(bench.out)]
    (folder / "methods").symlink_to(RECIPES / "bench" / "methods")
    arguments = [str(RECIPES / "world.toml"), *paths, "--size", "tiny", "--workers", str(workers), "--json"]
    return [sys.executable, "-m", "easq.cli", "bench", *arguments]


def wait_for_cells(out: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if done := len(list(out.glob("cells/*.json"))):
            return done
        time.sleep(0.02)
    raise AssertionError("no cell was done")


def test_a_killed_bench_continues_to_the_same_bytes(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    run(whole := small_bench(tmp_path / "whole"))
    write(whole)
    started = command(tmp_path / "killed", workers=2)
    out = tmp_path / "killed" / "out"
    process = subprocess.Popen(started, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    done = wait_for_cells(out, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # A kill while a cell is written leaves a part of it. Few kills come at that time, so one is made here.
    missing = next(
        p
        for p in sorted((tmp_path / "whole" / "out" / "cells").iterdir())
        if not (out / "cells" / p.name).exists()
    )
    (out / "cells" / f".{missing.name}.0123456789abcdef.part").write_bytes(missing.read_bytes()[:100])
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*.json")}
    assert done <= len(kept) < len(list((tmp_path / "whole" / "out").glob("cells/*.json")))
    finished = subprocess.run(started, check=True, capture_output=True)
    assert json.loads(finished.stdout)["rows"] == len(rows_of(out))
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), "done cells were run again"
    assert contents(out) == contents(tmp_path / "whole" / "out")


def test_methods_side_by_side_are_as_each_alone(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    place = BenchWorld("bait", 0.02, 1.0, 6000)
    cells = [Cell(BenchArm(m, m), place, 1) for m in ("easq", "behavior", "oracle")]
    pairs = [(cell, bench.recipe_of(cell)) for cell in cells]
    together = run_pass(pairs, bench.sitting)
    assert together == [run_pass([pair], bench.sitting)[0] for pair in pairs]
    assert together[2]["true_sat@3"] > max(together[0]["true_sat@3"], together[1]["true_sat@3"])


def test_methods_that_would_take_other_steps_are_refused() -> None:
    place = BenchWorld("main", 0.02, 1.0, 2000)
    recipes = [read_recipe(RECIPES / "world.toml", [f"training.batch_rows={n}"]) for n in (256, 512)]
    pairs = [(Cell(BenchArm("behavior", "behavior"), place, 1), recipe) for recipe in recipes]
    with pytest.raises(InputError, match="share features"):
        run_pass(pairs, Sitting(20, 0.5, LinearSettings()))


@pytest.mark.parametrize("bias", [0.0, 1.0, 4.0])
def test_as_many_answers_are_learned_as_were_wanted(bias: float) -> None:
    place = BenchWorld("bait", 0.01, bias, 100_000)
    cell = Cell(BenchArm("oracle", "oracle"), place, 3)
    (result,) = run_pass([(cell, small_recipe())], Sitting(20, 0.5, LinearSettings()))
    assert result["answers"] == pytest.approx(1000, rel=0.12)
    assert 0 < kept_share(place, 20) < 1


def test_more_answers_than_viewers_give_are_refused_with_what_they_give() -> None:
    place = BenchWorld("main", 0.2, 1.0, 3_000_000, 1_000_000)
    with pytest.raises(
        InputError, match=r"main, bias 1: got 400,000 answers .* allowed: up to \d{3},\d{3}, as"
    ):
        refuse_too_many([place], 20)
    refuse_too_many([place._replace(answers=0.1)], 20)


def test_where_answers_are_many_requests_drawn_to_have_none_are_measured() -> None:
    place = BenchWorld("main", 0.1, 1.0, 20_000)
    cell = Cell(BenchArm("oracle", "oracle"), place, 3)
    (many,) = run_pass([(cell, small_recipe())], Sitting(20, 1.0, LinearSettings()))
    few_cell = cell._replace(place=place._replace(answers=0.001))
    (few,) = run_pass([(few_cell, small_recipe())], Sitting(20, 1.0, LinearSettings()))
    assert many["answers"] == pytest.approx(2000, rel=0.12)
    # Nearly every request of 20 views has an answer or is drawn: those measured are as those of few answers.
    assert many["behavior@3"] == pytest.approx(few["behavior@3"], rel=0.05)
    assert many["held_answers"] == pytest.approx(0.25 * 10_000, rel=0.15)


def test_only_views_behind_the_warm_ones_are_measured() -> None:
    cell = Cell(BenchArm("oracle", "oracle"), BenchWorld("main", 0.02, 1.0, 8000, 4000), 3)
    sitting = Sitting(20, 1.0, LinearSettings())
    (warm,) = run_pass([(cell, small_recipe())], sitting)
    (cold,) = run_pass([(cell._replace(place=cell.place._replace(warm=0)), small_recipe())], sitting)
    assert (warm["views"], cold["views"]) == (8000, 8000)
    assert warm["answers"] == pytest.approx(80, rel=0.4)
    # Twice as many views are measured without warm ones, and of each as many answers are held back.
    assert cold["held_answers"] == pytest.approx(2 * warm["held_answers"], rel=0.2)


def test_rows_of_an_earlier_run_are_not_run_again(tmp_path: Path) -> None:
    for name in ("whole", "adopted"):
        (tmp_path / name).mkdir()
    run(whole := small_bench(tmp_path / "whole"))
    write(whole)
    earlier = rows_of(whole.out)
    few = [row for row in earlier if row["seed"] == 1]
    bench = small_bench(tmp_path / "adopted")
    assert bench.adopt(few) == len({(r["method"], r["scenario"]) for r in few})
    finished = {path: path.stat().st_mtime_ns for path in bench.out.glob("cells/*.json")}
    run(bench)
    write(bench)
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())
    assert rows_of(bench.out) == earlier


def rows_for(**changes: float) -> list[MetricRow]:
    values = {"true_sat@3": 0.5, "views": 6000.0} | changes
    return [
        {"method": "easq", "scenario": "main", "seed": 1, "metric": m, "value": v} for m, v in values.items()
    ]


def test_rows_of_another_length_are_not_taken(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    with pytest.raises(InputError, match=r"easq, main, seed 1: views: got 10,000,000; allowed .*: 6,000"):
        bench.adopt(rows_for(views=10_000_000.0))
    with pytest.raises(InputError, match="easq, main, seed 1: views: got none; allowed: 6,000"):
        bench.adopt(rows_for()[:1])
    assert not list(bench.out.glob("cells/*.json"))


def test_rows_that_contradict_each_other_are_not_taken(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    rows = rows_for()
    twice = {**rows[0], "value": 0.25}
    with pytest.raises(InputError, match=r"seed 1: true_sat@3: got 0\.25, which stands there as 0\.5 too"):
        bench.adopt([*rows, twice])
    assert bench.adopt([*rows, *rows]) == 1
    (cell,) = bench.out.glob("cells/*.json")
    assert json.loads(cell.read_text()) == rows


def test_cells_that_are_there_stay(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    bench.adopt(rows_for())
    (cell,) = bench.out.glob("cells/*.json")
    assert bench.adopt(rows_for(**{"true_sat@3": 0.9})) == 1
    assert json.loads(cell.read_text()) == rows_for()


def test_rows_of_another_size_are_named_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(rows_for(views=1000.0)))
    done = subprocess.run(
        [*command(tmp_path, 1), "--rows", str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "earlier.json: easq, main, seed 1: views: got 1,000; allowed" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_come_back_from_parquet_sorted_and_to_the_last_bit(tmp_path: Path) -> None:
    rows = rows_for(**{"true_sat@3": 0.1 + 0.2, "sat/auc": 1 / 3})
    write_rows(tmp_path / "rows.parquet", rows[::-1])
    assert read_rows(tmp_path / "rows.parquet") == sorted(rows, key=lambda row: row["metric"])


def test_a_file_without_rows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"method": "easq"}]')
    with pytest.raises(InputError, match=r"rows\.json holds no rows of a bench"):
        read_rows(path)
    with pytest.raises(InputError, match="nothing"):
        read_rows(tmp_path / "nothing.json")
    (tmp_path / "rows.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match=r"rows\.parquet holds no rows of a bench"):
        read_rows(tmp_path / "rows.parquet")

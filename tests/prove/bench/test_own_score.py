"""The last line of a bench on one's own log: who is ahead, at which price, and when nothing is shown."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from easq.cli.bench import bench
from easq.errors import InputError
from easq.prove.bench.own_score import Comparison, compare
from easq.prove.bench.real_pass import MethodScores
from tests.support.own_table import write_own
from tests.support.small_worlds import small_recipe

VIEWERS = np.arange(400)
RECIPE = small_recipe("method.kind=behavior")


def scored(
    said: float, did: float = 0.6, *, seed: int = 1, listed: float = 1.0, pairs: bool = True
) -> MethodScores:
    """Return the sums of a method with these means; one and the same noise by viewer cancels out in pairs."""
    scores, noise = MethodScores(RECIPE, ("model",)), np.random.default_rng(0).normal(0, 0.2, len(VIEWERS))
    noise -= noise.mean()
    own = np.random.default_rng(seed).normal(0, 0.02, len(VIEWERS))
    scores.tally.add("sat/auc", VIEWERS, said + noise + own - own.mean())
    scores.tally.add("sat/raw_auc", VIEWERS, 0.5 + noise)
    if pairs:
        scores.tally.add("pair_accuracy", VIEWERS, did + noise + own - own.mean())
    scores.held, scores.listed = len(VIEWERS), int(listed * len(VIEWERS))
    scores.told = {(f"r{n}", 1): (n, n % 2 == 0) for n in VIEWERS.tolist()}
    return scores


def compared(probe: MethodScores, behavior: MethodScores, own: str | None = None) -> Comparison:
    if own is not None:
        for name in behavior.tally.names():
            behavior.tally.take(f"{own}/{name}", behavior.tally, name)
    result = compare({"behavior": behavior, "probe": probe}, own)
    assert result is not None
    return result


def test_a_method_that_is_ahead_beats_the_score_at_its_price() -> None:
    found = compared(scored(0.63, 0.594, seed=2), scored(0.6, 0.6), own="prod_score")
    assert found.outcome == "beats"
    assert found.against == "prod_score"
    assert found.line.startswith("probe beats your score (prod_score) on what viewers say by 0.030 (0.0")
    assert " and costs 1.0% of behavior (0." in found.line
    assert found.answers.low is not None
    assert 0.02 < found.answers.low < 0.03  # what both have in common has cancelled out


def test_a_method_that_is_behind_is_told_as_that_and_more_behavior_as_more() -> None:
    found = compared(scored(0.57, 0.63, seed=2), scored(0.6, 0.6))
    assert found.outcome == "behind"
    assert found.line.startswith("probe is behind behavior alone on what viewers say by 0.030 (0.0")
    assert " and brings 5.0% more behavior (+" in found.line


def test_an_interval_that_holds_zero_shows_nothing() -> None:
    found = compared(scored(0.6, seed=2), scored(0.6, seed=3))
    assert found.outcome == "not_shown"
    assert "probe is not shown to beat behavior alone on what viewers say: +0.000 (-" in found.line
    assert "; it costs 0.0% of behavior" in found.line


def test_too_few_viewers_or_equal_answers_show_nothing() -> None:
    probe, behavior = scored(0.9), scored(0.6)
    behavior.told = {(f"r{n}", 1): (n % 20, n % 2 == 0) for n in range(100)}
    few = compared(probe, behavior)
    assert few.outcome == "not_shown"
    assert "on what viewers say: 20 viewers gave its answers and 30 are needed; it costs" in few.line
    behavior.told = {(f"r{n}", 1): (n, True) for n in range(100)}
    assert "its answers are all alike" in compared(probe, behavior).line
    behavior.told = {}
    assert "no answer about a view was held back" in compared(probe, behavior).line


def test_answers_of_requests_with_one_view_are_compared_with_all_others() -> None:
    found = compared(scored(0.63, pairs=False), scored(0.6, listed=0.4, pairs=False))
    assert found.metric == "sat/raw_auc"
    assert "all requests together" in found.how()
    assert found.line.endswith(
        "its cost is not measured, for no request shows two views of different behavior"
    )


def test_without_both_sides_there_is_no_line() -> None:
    assert compare({"behavior": scored(0.6)}, None) is None
    assert compare({"probe": scored(0.6), "easq": scored(0.5)}, None) is None
    other = compare({"behavior": scored(0.6), "easq": scored(0.5)}, None)
    assert other is not None
    assert other.method == "easq"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_own(tmp_path_factory.mktemp("own"), 300)


def test_a_table_is_benched_beside_the_score_of_its_ranker(
    own: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, recipe = own
    methods = ("behavior", "probe", "probe_no_answers")
    bench(recipe, out=tmp_path, data=(f"table={table}",), method=methods)
    shown = capsys.readouterr().out
    line = shown.splitlines()[-1]
    assert line.startswith("probe beats your score (prod_score) on what viewers say by 0.")
    assert " and costs " in line
    assert " rows: 300 requests" in shown
    assert line in (tmp_path / "report" / "own-0.5.md").read_text()
    assert "probe beats your score" in (tmp_path / "report" / "index.html").read_text()
    result = json.loads((tmp_path / "real" / "own-0.5.json").read_text())
    assert result["seeds"] == [1, 2, 3]
    assert list(result["methods"]) == [*methods, "popularity", "random", "prod_score"]
    # The likes of this table follow the score alone, which the behavior model does not read.
    metrics = {name: method["metrics"] for name, method in result["methods"].items()}
    assert metrics["prod_score"]["pair_accuracy"][1] > metrics["behavior"]["pair_accuracy"][2]
    assert abs(result["methods"]["probe_no_answers"]["gain"]["sat/auc"][0]) < 0.05
    bench(recipe, out=tmp_path, data=(f"table={table}",), method=methods, as_json=True)
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]  # neither imported nor run again
    assert (verdict["line"], verdict["outcome"]) == (line, "beats")


def test_a_table_of_which_one_answer_was_changed_is_run_anew(
    own: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, recipe = own
    part, views = tmp_path / "views.parquet", pl.read_parquet(table).head(400).with_row_index()

    def key_of(views: pl.DataFrame) -> str:
        views.write_parquet(part)
        mapping, methods = recipe.with_name("mapping.toml"), ("behavior", "probe")
        bench(recipe, out=tmp_path, data=(f"table={part}",), mapping=mapping, method=methods, as_json=True)
        assert len(json.loads(capsys.readouterr().out)["verdicts"]) == 1
        return str(json.loads((tmp_path / "real" / "own-0.5.json").read_text())["key"])

    changed = views.filter(survey="yes")["index"][20]
    other = pl.when(pl.col("index") == changed).then(pl.lit("no")).otherwise("survey")
    assert key_of(views) != key_of(views.with_columns(survey=other))


def test_what_a_table_needs_is_told(own: tuple[Path, Path], tmp_path: Path) -> None:
    table, recipe = own
    named = (f"table={table}",)
    with pytest.raises(InputError, match="give one log or table of your own"):
        bench(recipe, out=tmp_path, data=named, log=table)
    with pytest.raises(InputError, match="--mapping is for --data table=PATH"):
        bench(recipe, out=tmp_path, log=table, mapping=table)
    with pytest.raises(InputError, match=r"it needs --mapping FILE, or \[data\] mapping in world"):
        bench(Path("world"), out=tmp_path, data=named)
    with pytest.raises(InputError, match="with NAME table or a real log of the plan"):
        bench(recipe, out=tmp_path, data=(f"tables={table}",))

"""A table scored in batches has the scores that the engine serves, and says what it cannot read."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.log.events import PROFILES
from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay
from easq.rank.engine import Engine
from easq.rank.frame_scorer import FrameScorer
from easq.rank.parameters import Parameters
from easq.rank.query import Query
from easq.sources.world.recording import record
from tests.cli.test_cli import easq
from tests.rank.test_engine import ITEMS, NOW, engine_of, item_update
from tests.support.dense_world import dense_steps, vector_of, with_dense
from tests.support.live_home import LiveSystem, trained_system
from tests.support.small_worlds import small_recipe, small_world

USERS = ["u1", "u2", "u1", "u7"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with trained_system(tmp_path_factory.mktemp("scorer")) as system:
        yield system


def scorer_of(system: LiveSystem, engine: Any) -> FrameScorer:
    return FrameScorer(system.home.recipe, engine._parameters, engine._knowledge, NOW)


def test_rows_have_the_scores_that_are_served(system: LiveSystem) -> None:
    engine = engine_of(system)
    rows = [(user, item) for user in USERS for item in ITEMS]
    table = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    scored = scorer_of(system, engine).score(table)
    assert scored.drop("score").equals(table)
    for number, user in enumerate(USERS):
        served = engine.rank(Query(user, ITEMS), NOW)
        expected = dict(zip(served.items, served.scores.tolist(), strict=True))
        part = scored[number * len(ITEMS) : (number + 1) * len(ITEMS)]
        found = dict(zip(part["item_id"], part["score"], strict=True))
        assert found == pytest.approx(expected, abs=1e-5)


def test_values_of_the_table_come_before_those_that_are_known(system: LiveSystem) -> None:
    engine = engine_of(system)
    given = {
        "author_id": [*["kim"] * 20, *[3] * 20],
        "duration_s": [1.5, None] * 20,
        "tags": [["a", "b"], []] * 20,
    }
    served = engine.rank(Query("u1", ITEMS, context={"hour": 12, "device": "tv"}, features=given), NOW)
    table = pl.DataFrame({
        "user_id": "u1",
        "item_id": ITEMS,
        "author_id": [str(v) for v in given["author_id"]],
        "duration_s": given["duration_s"],
        "tags": given["tags"],
        "hour": 12,
        "device": "tv",
    })  # fmt: skip
    scored = scorer_of(system, engine).score(table)
    expected = dict(zip(served.items, served.scores.tolist(), strict=True))
    assert dict(zip(scored["item_id"], scored["score"], strict=True)) == pytest.approx(expected, abs=1e-5)


def test_a_table_that_cannot_be_scored_is_refused_by_name(system: LiveSystem) -> None:
    scorer = scorer_of(system, engine_of(system))
    whole = pl.DataFrame({"user_id": ["u"], "item_id": ["i"]})
    assert "user_id" not in scorer.check(whole.columns)
    assert "item_id" not in scorer.check(whole.columns)
    assert set(scorer.check(whole.columns)) >= {"hour", "duration_s"}
    for changed, message in (
        (whole.drop("item_id"), "column item_id: it is missing; the table has user_id"),
        (whole.with_columns(score=1.0), "column score: it is there already"),
    ):
        with pytest.raises(InputError, match=message):
            scorer.check(changed.columns)
    for changed, message in (
        (whole.with_columns(item_id=pl.lit(None)), "column item_id: row 0 of a batch has none"),
        (whole.with_columns(duration_s=pl.lit("long")), "column duration_s: got 'long'; allowed: numbers"),
        (whole.with_columns(duration_s=1e300), "column duration_s: got 1e[+]300; allowed: finite numbers"),
        (whole.with_columns(tags=pl.lit("a,b")), "column tags: got String; allowed: lists of texts"),
    ):
        with pytest.raises(InputError, match=message):
            scorer.score(changed)


def test_vectors_of_a_table_are_read_and_wrong_ones_refused() -> None:
    recipe = with_dense(small_recipe("method.kind=probe"))
    learner, batches = dense_steps("method.kind=probe")
    for batch in batches:
        learner.step(batch)
    parameters = Parameters(recipe)
    parameters.replace(1, learner.state())
    engine = Engine(recipe, Profiles.of(recipe, 1), parameters, 10, 0)
    content = [vector_of(f"i{n}", 8) for n in range(6)]
    items = [f"i{n}" for n in range(6)]
    context = {"taste": [1.0, -2.0, 3.0], "age": 1.0}
    served = engine.rank(
        Query("u", items, context=context, features={"content": np.stack(content).tobytes()}), NOW
    )
    table = pl.DataFrame({
        "user_id": "u",
        "item_id": items,
        "content": [None if np.isnan(v).any() else v.tolist() for v in content],
        "taste": [context["taste"]] * 6,
        "age": 1.0,
    })  # fmt: skip
    scorer = FrameScorer(recipe, parameters)
    scored = scorer.score(table)
    assert sum(np.isnan(v).any() for v in content) in range(1, 6)
    assert scored["score"].n_unique() > 1
    expected = dict(zip(served.items, served.scores.tolist(), strict=True))
    found = dict(zip(scored["item_id"], scored["score"], strict=True))
    assert found == pytest.approx(expected, abs=1e-5)
    as_array = table.with_columns(pl.col("taste").list.to_array(3))
    np.testing.assert_array_equal(scorer.score(as_array)["score"], scored["score"])
    for changed, message in (
        (pl.lit("a,b"), "column taste: got String; allowed: lists of 3 numbers"),
        (pl.lit([1.0, 2.0]), r"column taste: got .*; allowed: lists of 3 finite numbers of 32 bits"),
        (pl.lit([1.0, 2.0, float("inf")]), "column taste: got .*; allowed: lists of 3 finite numbers"),
    ):
        with pytest.raises(InputError, match=message):
            scorer.score(table.with_columns(taste=changed))


def test_a_command_scores_with_a_run_and_with_a_home(
    system: LiveSystem,
    tmp_path: Path,
) -> None:
    data, out = tmp_path / "candidates.parquet", tmp_path / "scores.parquet"
    table = pl.DataFrame(
        {"user_id": ["u1", "u1", "u2"], "item_id": ["i1", "i2", "i1"], "duration_s": [9.0, 5.0, 7.0]}
    )
    table.write_parquet(data)
    with SqliteLog(tmp_path / "w.log") as log:
        record(small_world(), 500, log, tmp_path / "truth", lambda _: None)
        replay(small_recipe("method.kind=probe"), log, tmp_path / "run")
    done = easq("score", "--run", tmp_path / "run", "--data", data, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "3 rows scored" in done.stdout
    assert "unknown for every row" in done.stderr
    scored = pl.read_parquet(out)
    assert scored.drop("score").equals(table)
    assert scored["score"].is_finite().all()
    assert scored["score"].n_unique() == 3
    system.events.append(PROFILES, [item_update(1), item_update(2)])
    at_home = easq("score", "--home", system.home.folder, "--data", data, "--out", out, "--json")
    assert at_home.returncode == 0, at_home.stderr
    assert pl.read_parquet(out)["score"].is_finite().all()
    refused = easq("score", "--data", data, "--out", out)
    assert refused.returncode == 2
    assert "give either --run FOLDER or --home FOLDER" in refused.stderr
    for name, message in (("none.parquet", "there is no file at"), ("w.log", "cannot be read as Parquet")):
        bad = easq("score", "--run", tmp_path / "run", "--data", tmp_path / name, "--out", out)
        assert bad.returncode == 2
        assert message in bad.stderr

"""The Python API: frames in, a log, a run, scores and a report out; nothing is left behind."""

import gc
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import easq
from easq.log.sqlite import SqliteLog
from easq.model.method import read_method
from easq.prove.offline.replay import replay
from easq.recipe.read import read_recipe
from tests.support.own_table import MAPPING, RECIPE, own_table

VIEWS = own_table(200)
CANDIDATES = VIEWS.head(40).select(
    "author", "prod_score", user_id="user", item_id="item_id", viewer="user", item="item_id"
)


class OnlyArrow:
    """A frame of which only the Arrow stream is known, as pandas and others offer it."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._frame.__arrow_c_stream__(requested_schema)


@pytest.fixture(scope="module")
def log() -> easq.ViewLog:
    return easq.read_table(VIEWS, tomllib.loads(MAPPING))


@pytest.fixture(scope="module")
def run(log: easq.ViewLog, tmp_path_factory: pytest.TempPathFactory) -> easq.Run:
    return easq.fit(tomllib.loads(RECIPE), log, out=tmp_path_factory.mktemp("run") / "out")


def test_frames_of_any_kind_and_files_become_the_same_log(log: easq.ViewLog, tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    VIEWS.write_parquet(tmp_path / "views.parquet")
    forms = (OnlyArrow(VIEWS), VIEWS.to_arrow(), VIEWS.lazy(), tmp_path / "views.parquet")
    for number, form in enumerate(forms):
        again = easq.read_table(form, tmp_path / "mapping.toml", path=tmp_path / f"{number}.log")
        with SqliteLog(log.path) as one, SqliteLog(again.path) as other:
            for partition, end in enumerate(one.end_offsets("events")):
                assert one.read("events", partition, 0, end) == other.read("events", partition, 0, end)
    assert repr(log).endswith(f": {len(VIEWS):,} views, {log.counts['answers']:,} answers>")


def test_a_fit_is_the_replay_of_the_log(log: easq.ViewLog, run: easq.Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    with SqliteLog(log.path) as events:
        replay(read_recipe(tmp_path / "recipe.toml", methods=read_method), events, tmp_path / "out")
    for name in ("metrics.json", "parameters.safetensors", "settings.toml"):
        assert (run.folder / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_scores_have_the_order_of_the_rows_whatever_the_form(run: easq.Run, tmp_path: Path) -> None:
    CANDIDATES.write_parquet(tmp_path / "candidates.parquet")
    scores = run.score(CANDIDATES)
    assert scores.dtype == np.float32
    assert scores.shape == (40,)
    assert len(np.unique(scores)) > 30
    forms = (OnlyArrow(CANDIDATES), str(tmp_path / "candidates.parquet"))
    assert all(np.array_equal(run.score(form), scores) for form in forms)
    assert np.array_equal(easq.open_run(run.folder).score(CANDIDATES), scores)
    backwards = run.score(CANDIDATES.reverse())
    assert backwards[::-1] == pytest.approx(scores, abs=1e-6)
    assert run.score(CANDIDATES.clear()).shape == (0,)


def test_what_candidates_lack_is_told(run: easq.Run) -> None:
    with pytest.warns(easq.InputWarning, match="candidates: no column for author: unknown for every row"):
        run.score(CANDIDATES.drop("author"))
    with pytest.raises(easq.InputError, match="column item_id: it is missing"):
        run.score(CANDIDATES.drop("item_id"))
    with pytest.raises(easq.InputError, match=r"candidates: got \[1, 2\]; allowed: a path, or a frame"):
        run.score([1, 2])
    with pytest.raises(easq.InputError, match=r"candidates: none\.parquet cannot be read as a table"):
        run.score("none.parquet")


def test_a_report_is_against_the_score_of_the_recipe_or_what_is_named(run: easq.Run) -> None:
    report = run.report()
    assert (report.method, report.against) == ("probe", "prod_score")
    assert report == run.report(against="prod_score") == easq.open_run(run.folder).report()
    metric = report.metrics["pair_accuracy"]
    assert metric.difference.value == pytest.approx(metric.own.value - metric.against.value)
    assert report.metrics["sat/auc"].difference.low > 0
    lines = str(report).splitlines()
    assert lines[0].startswith("probe against prod_score: ")
    assert lines[0].endswith(" answers; 95% intervals by viewer")
    assert [line.split()[0] for line in lines[2:]] == [
        "sat/auc", "sat/pair_accuracy", "sat/raw_auc", "pair_accuracy", "auc/liked",
    ]  # fmt: skip
    assert run.report("popularity").against == "popularity"
    message = "against: got 'oracle'; allowed for this run: popularity, prod_score, random, another Run"
    with pytest.raises(easq.InputError, match=message):
        run.report("oracle")


def test_runs_of_one_log_are_compared_in_pairs(log: easq.ViewLog, run: easq.Run) -> None:
    other = easq.fit(tomllib.loads(RECIPE), log, overrides=["method.kind=behavior"])
    # The behavior method serves the score itself, so this is nearly the report against it.
    one, two = (run.report(against).metrics["sat/auc"].difference for against in (other, "prod_score"))
    assert one.value == pytest.approx(two.value, abs=0.02)
    assert one.low > 0
    itself = run.report(run)
    assert itself.against == "probe (other)"
    assert itself.metrics["sat/auc"].difference.high == 0
    assert run.report(easq.open_run(other.folder)) == run.report(other)
    short = easq.fit(tomllib.loads(RECIPE), easq.read_table(VIEWS.head(400), tomllib.loads(MAPPING)))
    with pytest.raises(easq.InputError, match="replayed other log than"):
        run.report(short)


def test_rows_that_are_left_out_are_counted_in_a_warning(tmp_path: Path) -> None:
    broken = VIEWS.head(80).with_columns(user=pl.when(pl.col("item_id") == "i1").then(None).otherwise("user"))
    number = broken["user"].null_count()
    assert number
    with pytest.warns(easq.InputWarning, match=f"rows left out, missing_user: {number}; see .*rejects.jsonl"):
        easq.read_table(broken, tomllib.loads(MAPPING), path=tmp_path / "some.log")


def test_what_is_wrong_is_named_by_argument() -> None:
    mapping = tomllib.loads(MAPPING)
    with pytest.raises(easq.InputError, match=r"^mapping: unknown key names = 'x'"):
        easq.read_table(VIEWS, {**mapping, "names": "x"})
    with pytest.raises(easq.InputError, match=r"^data.*survey"):
        easq.read_table(VIEWS.drop("survey"), mapping)
    with pytest.raises(easq.InputError, match="column user: it holds Python objects"):
        easq.read_table(VIEWS.with_columns(user=pl.Series([object()] * len(VIEWS), dtype=pl.Object)), mapping)
    with pytest.raises(easq.InputError, match="mapping: got 3; allowed: a path, or the content as a dict"):
        easq.read_table(VIEWS, 3)  # type: ignore[arg-type]
    with pytest.raises(easq.InputError, match="there is no log at nowhere"):
        easq.fit("world", "nowhere.log")
    with pytest.raises(easq.InputError, match=r"holds no metrics\.json"):
        easq.open_run("nowhere")


def test_a_fit_leaves_neither_files_nor_settings_of_torch_behind() -> None:
    threads, is_strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    try:
        log = easq.read_table(VIEWS.head(80), tomllib.loads(MAPPING))
        run = easq.fit(tomllib.loads(RECIPE), log)
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (2, False)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(is_strict)
    folders = (log.path.parent, run.folder)
    assert all(folder.is_dir() for folder in folders)
    del log, run
    gc.collect()
    assert not any(folder.exists() for folder in folders)


def test_a_log_of_elsewhere_is_opened(log: easq.ViewLog) -> None:
    opened = easq.open_log(str(log.path))
    assert opened.path == log.path
    assert repr(opened) == f"<ViewLog {log.path}>"


def test_what_is_public_is_what_the_package_lists() -> None:
    assert dir(easq) == sorted(easq.__all__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(getattr(easq, name) is not None for name in easq.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'fitted'"):
        easq.fitted  # type: ignore[attr-defined]  # noqa: B018

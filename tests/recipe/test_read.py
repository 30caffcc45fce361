from pathlib import Path

import pytest

from easq.errors import SettingsError
from easq.recipe.features import Multi, Numeric
from easq.recipe.read import read_recipe, to_toml
from tests.support.small_worlds import RECIPES

SMALLEST = """
name = "smallest"
[[features]]
name = "item_id"
kind = "categorical"
side = "candidate"
rows = 64
[[features]]
name = "recent"
kind = "history"
of = "item_id"
length = 5
[[behaviors]]
name = "like"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def problem(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(SettingsError) as error:
        read_recipe(written(tmp_path, text), overrides)
    return str(error.value)


RUNS = [path for path in sorted(RECIPES.glob("*.toml")) if not path.stem.endswith("mapping")]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_recipe_reads_and_survives_being_written_out(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    assert read_recipe(written(tmp_path, to_toml(recipe))) == recipe


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("[model]\nranks = 3", "model.ranks: unknown key; allowed: "),
        ("[engine]\nrank = 3", "engine: unknown key; allowed: alignment, ask, assignment, baselines, "),
        ("[model]\nrank = -1", "model.rank: got -1; expected `int` >= 0"),
        ("[model]\nrank = 999", "model.rank: got 999; allowed: 0 to 31"),
        ('[model]\nmethod = "magic"', "model.method: got 'magic'; allowed: "),
        ("[training]\nlearning_rate = -1.0", "training.learning_rate: got -1.0; expected `float` > 0"),
        ("[training]\nlearning_rate = nan", "training.learning_rate: got nan"),
        ("[training]\nlearning_rate = inf", "training.learning_rate: got inf; allowed: finite numbers"),
        ('[training]\nbatch_rows = "many"', "training.batch_rows: got 'many'; expected `int`, got `str`"),
        ("[join]\nanswer_window = 1.0", "join.answer_window: got 1.0; allowed: at least"),
        ("[ask]\nrates = 0.1", "ask.rates: unknown key; allowed: "),
        ("[ask]\nrate = 1.5", "ask.rate: got 1.5; expected `float` <= 1"),
        ("[ask]\nmax_per_day = 0", "ask.max_per_day: got 0; expected `int` >= 1"),
        ("[ask]\nadaptive_floor = 0.0", "ask.adaptive_floor: got 0.0; expected `float` >= 0.05"),
        (
            '[ask]\npolicy = "adaptive"\nadaptive_half_life_hours = 25.0',
            "ask.adaptive_half_life_hours: got 25.0; allowed: at most 24, see ask.memory_days",
        ),
        ('[ask]\norder = "up"', "ask.order: got 'up'; allowed: fixed, random"),
        ('[ask]\norigins = ["example.com"]', "ask.origins.0: got 'example.com'"),
        (
            "[ask]\ncool_down_minutes = 20000.0",
            "ask.cool_down_minutes: got 20000.0; allowed: at most 10080, see ask.memory_days",
        ),
        (
            "[ask]\nreserve_seconds = 1000.0",
            "ask.reserve_seconds: got 1000.0; allowed: at most 900, see ask.token_minutes",
        ),
        (
            '[[ask.questions]]\nname = "mood"\noptions = ["a", "b"]',
            "ask.questions.mood.wording: got none; it needs ask.default_locale (en)",
        ),
        (
            '[[ask.questions]]\nname = "satisfaction"\noptions = ["a", "b"]',
            "ask.questions.satisfaction.options: got ('a', 'b'); those of [question] are given already",
        ),
        (
            '[[ask.questions]]\nname = "come_back"',
            "ask.questions.come_back.kind: got 'options'; allowed with its options: scale5",
        ),
        (
            '[[ask.questions]]\nname = "mood"\noptions = ["a"]',
            "ask.questions.mood.options: got ('a',); allowed: two or more, each once",
        ),
        (
            '[[ask.questions]]\nname = "worth_time"\n[[ask.questions]]\nname = "worth_time"',
            "ask.questions: worth_time stands there more than once",
        ),
        (
            '[[ask.questions]]\nname = "worth_time"\n'
            'wording.en = {text = "Was it?", labels = ["No"], thanks = "Thanks"}',
            "ask.questions.worth_time.wording.en.labels: got 1; allowed: 3, one for each of no, partly, yes",
        ),
        ('[[behaviors]]\nname = "like"', "behaviors: like stands there more than once"),
        ('[[features]]\nname = "x"\nkind = "sound"', "features.x.kind: got 'sound'; allowed: categorical, "),
        ('[[features]]\nname = "x"', "features.x.kind: got nothing; allowed: categorical, "),
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"\nboundaries = [2.0, 1.0]',
            "features.x.boundaries: got (2.0, 1.0); they must rise",
        ),
        (
            '[[features]]\nname = "x"\nkind = "history"\nof = "nobody"\nlength = 3',
            "features.x.of: got 'nobody'; allowed are the categorical features of the candidate: item_id",
        ),
        (
            '[[features]]\nname = "x"\nkind = "categorical"\nside = "viewer"',
            "features.x.rows: required, but nothing was given",
        ),
        (
            "[baselines]\nemer_watch = 'gaze'",
            "baselines.emer_watch: got 'gaze'; allowed are the behaviors: like",
        ),
        (
            "[model]\nmethod = 'emer'\nhidden = 30",
            "baselines.emer_heads: got 4; allowed: numbers that divide model.hidden (30)",
        ),
        ('[data]\nloader = "csv"', "data.loader: got 'csv'; allowed: kuairand, eeg_svrec, table"),
    ],
)
def test_what_cannot_be_is_refused_with_key_given_and_allowed(
    tmp_path: Path, added: str, message: str
) -> None:
    assert problem(tmp_path, SMALLEST + added).startswith(message)


def test_recipe_that_orders_nothing_is_refused(tmp_path: Path) -> None:
    assert "behaviors: at least one needs a weight" in problem(tmp_path, SMALLEST + "weight = 0.0")


def test_saqrec_without_a_history_is_refused(tmp_path: Path) -> None:
    text = SMALLEST.replace('kind = "history"', 'kind = "multi"\nside = "viewer"\nrows = 9').replace(
        'of = "item_id"', ""
    )
    message = problem(tmp_path, text, "model.method=saqrec", "model.rank=4")
    assert "features needs one of kind 'history'" in message


def test_missing_file_and_broken_toml_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no recipe at"):
        read_recipe(tmp_path / "none.toml")
    assert "is not TOML" in problem(tmp_path, "name = ")


def test_overrides_reach_tables_and_named_entries(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)
    changes = ["model.rank=4", "features.item_id.rows=99", 'model.method="behavior"', "order.cap=3.0"]
    recipe = read_recipe(path, changes)
    assert (recipe.model.rank, recipe.features[0].rows) == (4, 99)  # type: ignore[union-attr]
    assert (recipe.model.method, recipe.order.cap) == ("behavior", 3.0)
    assert read_recipe(path, ["model.method=behavior"]).model.method == "behavior"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.rank", "--set takes key=value"),
        ("features.nothing.rows=3", "no entry is named 'nothing'; allowed: item_id, recent"),
        ("name.first=3", "'first' does not name a key of a table"),
        ("model.rnk=3", "model.rnk: unknown key"),
    ],
)
def test_override_that_leads_nowhere_is_refused(tmp_path: Path, override: str, message: str) -> None:
    assert message in problem(tmp_path, SMALLEST, override)


def test_feature_kinds_are_told_by_their_tag() -> None:
    features = {f.name: f for f in read_recipe(RECIPES / "world.toml").features}
    assert isinstance(features["tags"], Multi)
    assert isinstance(features["duration_s"], Numeric)


EXPERIMENT = """
[[experiments]]
name = "easq"
arms = [{ name = "control" }, { name = "easq", version = "v7" }]
"""


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (EXPERIMENT + "share = 1.2", "experiments.easq.share: got 1.2; expected `float` <= 1.0"),
        (EXPERIMENT + "share = 0.5\nreserved = 0.2", "experiments.easq.reserved: got 0.2; allowed: at least"),
        (EXPERIMENT + EXPERIMENT, "experiments: easq stands there more than once"),
        (
            EXPERIMENT + EXPERIMENT.replace('"easq"\narms', '"other"\narms'),
            "experiments: those of layer 'main' take 2 of its viewers; allowed: 1 together",
        ),
        (
            EXPERIMENT + EXPERIMENT.replace('"easq"\narms', '"other"\nlayer = "second"\narms'),
            "experiments: arms of the layers main, second name recipes or versions; allowed: those of one",
        ),
        (EXPERIMENT + 'metric = "joy"', "experiments.easq.metric: got 'joy'; allowed are the metrics: lt7"),
        (
            EXPERIMENT + '[[experiments.guardrails]]\nmetric = "likes"',
            "experiments.easq.guardrails: got 'likes'; allowed are the metrics: lt7",
        ),
        (
            EXPERIMENT + 'eligible = { feature = "segment" }',
            "experiments.easq.eligible.feature: got 'segment'",
        ),
        (
            EXPERIMENT + "least_days = 20",
            "experiments.easq.least_days: got 20; allowed: at most its days (14)",
        ),
        (
            EXPERIMENT.replace("version", 'recipe = "a.toml", version'),
            "experiments.easq.arms.easq: names a recipe and a version; allowed: one of them",
        ),
        (
            '[[metrics.own]]\nname = "like_rate"\nkind = "ratio"\nof = "like"',
            "metrics.own.like_rate.per: got None; allowed: a name with kind = 'ratio'",
        ),
        (
            '[[metrics.own]]\nname = "like"\nkind = "count"\nof = "like"',
            "metrics.own: like stands there more than once",
        ),
        (
            '[[metrics.own]]\nname = "visits"\nkind = "sum"\nof = "requests"',
            "metrics.own.visits.of: got 'requests'; allowed with kind = 'sum' are behaviours: like",
        ),
        ("[explore]\ntop = 11", "explore.top: got 11; allowed: at most explore.depth (10)"),
        (
            "[explore]\nshare = 0.1\ndepth = 30",
            "explore.depth: got 30; allowed: at most service.log_top (20)",
        ),
    ],
)
def test_experiments_that_cannot_be_are_refused(tmp_path: Path, added: str, message: str) -> None:
    assert message in problem(tmp_path, SMALLEST + added)


def test_an_experiment_survives_being_written_out(tmp_path: Path) -> None:
    own = '[[metrics.own]]\nname = "like_rate"\nkind = "ratio"\nof = "like"\nper = "views"'
    recipe = read_recipe(written(tmp_path, SMALLEST + EXPERIMENT + "start = 2026-03-01\n" + own))
    assert str(recipe.experiments[0].start) == "2026-03-01"
    assert read_recipe(written(tmp_path, to_toml(recipe))) == recipe

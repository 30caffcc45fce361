"""Features come and go; the log, and the answers on it, stay of use."""

from pathlib import Path

import pytest
from msgspec import structs

from easq.errors import SettingsError
from easq.home.home import Home, open_home
from easq.home.renewal import renew_home
from easq.learn.live_learner import LiveLearner
from easq.learn.privacy import erase_home
from easq.learn.verify import verify
from easq.log.events import Answered
from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay
from easq.recipe.features import Categorical, Feature, History, Multi, Numeric, Vector
from easq.recipe.read import SettingsWarning
from easq.recipe.recipe import Recipe
from tests.support.crashing_log import run_through
from tests.support.live_home import LIVE, Clock, event_batches, live_system
from tests.support.small_worlds import small_recipe

NEW: list[Feature] = [
    Categorical(name="lang", side="candidate", rows=64),
    Categorical(name="country", side="viewer", rows=64),
    Numeric(name="size", side="candidate", boundaries=(1.0, 2.0)),
    Numeric(name="age_of_account", side="viewer", boundaries=(1.0,)),
    Multi(name="actors", side="candidate", rows=64, length=3),
    Multi(name="groups", side="viewer", rows=64, length=3),
    History(name="seen", of="item_id", length=4),
    Vector(name="content", side="candidate", dim=4),
    Numeric(name="loudness", side="candidate", boundaries="quantiles"),
    Numeric(name="height", side="viewer", standardized=True),
]
NUM_ANSWERS = sum(isinstance(event, Answered) for batch in event_batches() for event in batch)


def changed(recipe: Recipe, kind: str) -> Recipe:
    """Return the recipe with new features in front, or without some that it has."""
    gone = {"duration_s", "hour"} if kind == "removed" else set()
    kept = tuple(f for f in recipe.features if f.name not in gone)
    return structs.replace(recipe, features=(*NEW, *kept) if kind == "new" else kept)


def learned(home: Home) -> int:
    with home.open_events() as events, home.open_updates() as updates:
        learner = LiveLearner(home, events, updates, Clock(), Clock())
        learner.recover()
        while learner.tick():
            pass
        learner.close()
        assert verify(home, events, updates).different == []
        return learner.trainer.counts.answers - learner.trainer.waiting[1]


@pytest.mark.parametrize("kind", ["new", "removed"])
def test_a_home_is_renewed_and_every_answer_is_learned_again(tmp_path: Path, kind: str) -> None:
    with live_system(tmp_path) as system:
        learner = system.learner()
        run_through(system, learner)
        learner.close()
    folder = tmp_path / "home"
    recipe = changed(small_recipe(*LIVE), kind)
    assert recipe.features != small_recipe().features
    with pytest.raises(SettingsError, match=r"these differ: features\..*`easq renew`"):
        open_home(folder, recipe)
    home, past = renew_home(folder, recipe)
    assert {path.name for path in past.iterdir()} >= {
        "identity.toml",
        "checkpoints",
        "versions",
        "updates.log",
    }
    assert open_home(folder, recipe).recipe == open_home(folder, methods=recipe.method.reader).recipe
    assert learned(home) == NUM_ANSWERS


def test_a_new_home_learns_an_old_log(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        for batch in event_batches():
            system.append(batch)
    home = open_home(tmp_path / "other", changed(small_recipe(*LIVE), "new"))
    (tmp_path / "home" / "events.log").rename(home.folder / "events.log")
    assert learned(home) == NUM_ANSWERS


def test_a_kill_while_a_home_is_renewed_leaves_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = small_recipe(*LIVE)
    recipe = changed(old, "new")
    folder = open_home(tmp_path / "home", old).folder
    calls = 0

    def killed(path: Path, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyboardInterrupt
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr("easq.home.renewal.replace_file", killed)
        with pytest.raises(KeyboardInterrupt):
            renew_home(folder, recipe)
    assert open_home(folder, methods=recipe.method.reader).recipe == recipe
    with monkeypatch.context() as patch:
        patch.setattr("easq.home.renewal.replace_file", killed)
        with pytest.raises(KeyboardInterrupt):
            renew_home(folder, old)
    assert open_home(folder, methods=recipe.method.reader).recipe == recipe
    assert renew_home(folder, old)[0].recipe == old


def test_a_replay_says_what_is_unknown(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "a.log") as log:
        for batch in event_batches():
            log.append("events", batch)
        with pytest.warns(SettingsWarning) as found:
            replay(changed(small_recipe(*LIVE), "new"), log, tmp_path / "out")
    told = [str(warning.message) for warning in found]
    assert len(told) == len(NEW)
    assert any("examples lack the feature 'lang', which is unknown there" in text for text in told)


def test_an_erasure_removes_what_a_renewal_set_aside(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        run_through(system, learner := system.learner())
        learner.close()
    home, past = renew_home(tmp_path / "home", changed(small_recipe(*LIVE), "new"))
    assert past.exists()
    erase_home(home, [event_batches()[0][0].user_id])
    assert not past.exists()
    assert not past.parent.exists()

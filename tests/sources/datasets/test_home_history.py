"""A home whose log begins with a table, and what a start that failed leaves."""

from pathlib import Path

import pytest

from easq.errors import InputError, SettingsError
from easq.home.home import open_home
from easq.home.renewal import home_to_start, num_events
from easq.log.events import EVENTS, PROFILES, ItemUpdate
from easq.sources.datasets.home_history import begin_with
from tests.sources.datasets.test_table import COLUMNS, mapping, view
from tests.support.small_datasets import NOON, write_csv
from tests.support.small_worlds import small_recipe, world_events


def nothing(done: int, total: int) -> None: ...


def test_a_history_is_whole_and_imported_once(tmp_path: Path) -> None:
    home = home_to_start(tmp_path / "home", small_recipe())
    table, declared = write_csv(tmp_path / "v.csv", COLUMNS, [view("ann", "x", NOON)]), mapping(tmp_path)
    with home.open_events():
        pass  # as a start without it leaves
    (home.folder / "new-events.log").write_text("cut short")
    summary = begin_with(home, table, declared, nothing)
    assert summary is not None
    assert (summary["written"], num_events(home.folder)) == (2, 2)
    assert sorted(path.name for path in home.folder.iterdir() if path.name[0] != ".") == [
        *("events.log", "events.log.rejects.jsonl", "history.json", "identity.toml", "settings.toml"),
        "versions",
    ]
    assert begin_with(home, table, declared, nothing) is None
    write_csv(table, COLUMNS, [view("ann", "y", NOON)])
    with pytest.raises(InputError, match=r"home holds 2 events already.*Leave out --from"):
        begin_with(home, table, declared, nothing)


def test_a_home_with_events_of_its_own_is_refused(tmp_path: Path) -> None:
    home = home_to_start(tmp_path / "home", small_recipe())
    table, declared = write_csv(tmp_path / "v.csv", COLUMNS, [view("ann", "x", NOON)]), mapping(tmp_path)
    begin_with(home, table, declared, nothing)
    with home.open_events() as log:
        log.append(EVENTS, world_events(3))
    with pytest.raises(InputError, match="events already"):
        begin_with(home, table, declared, nothing)
    other = home_to_start(tmp_path / "other", small_recipe())
    with other.open_events() as log:
        log.append(PROFILES, [ItemUpdate(event_id="i", user_id="", ts=NOON, item_id="i", values={})])
    with pytest.raises(InputError, match="1 events already"):
        begin_with(other, table, declared, nothing)


def test_a_table_that_cannot_be_used_leaves_a_home_that_can(tmp_path: Path) -> None:
    home, declared = home_to_start(tmp_path / "home", small_recipe()), mapping(tmp_path)
    table = write_csv(tmp_path / "v.csv", COLUMNS, [view("ann", "x", "never")])
    with pytest.raises(InputError, match="no row of 1 can be used"):
        begin_with(home, table, declared, nothing)
    assert num_events(home.folder) == 0
    write_csv(table, COLUMNS, [view("ann", "x", NOON)])
    assert begin_with(home, table, declared, nothing) is not None


def test_a_home_without_events_takes_other_settings_and_one_with_events_does_not(tmp_path: Path) -> None:
    home = home_to_start(tmp_path / "home", small_recipe())
    home.versions.save(0, {}, {"seq": 0})
    again = home_to_start(home.folder, small_recipe("seed=2"))
    assert (again.recipe.seed, again.recipe.row_salt) == (2, home.recipe.row_salt)
    assert open_home(home.folder).recipe.seed == 2
    assert again.versions.names() == []
    assert (home.folder / "past" / "1" / "versions").exists()
    with again.open_events() as log:
        log.append(EVENTS, world_events(3))
    with pytest.raises(SettingsError, match="these differ: seed"):
        home_to_start(home.folder, small_recipe())
    assert home_to_start(home.folder, small_recipe("seed=2")).recipe == again.recipe


def test_a_home_that_runs_takes_no_other_settings(tmp_path: Path) -> None:
    home = home_to_start(tmp_path / "home", small_recipe())
    with home.lock("learner"), pytest.raises(InputError, match="has a running learner already"):
        home_to_start(home.folder, small_recipe("seed=2"))


def test_arms_of_a_home_without_events_take_other_settings(tmp_path: Path) -> None:
    arm, arms = tmp_path / "arm.toml", f'[{{name="a"}}, {{name="b", recipe="{tmp_path / "arm.toml"}"}}]'
    experiment = f'experiments=[{{name="e", arms={arms}}}]'
    arm.write_text("[training]\nlearning_rate = 0.3")
    home = home_to_start(tmp_path / "home", small_recipe(experiment))
    arm.write_text("[training]\nlearning_rate = 0.4")
    home_to_start(home.folder, small_recipe(experiment))
    assert open_home(home.folder / "arms" / "e.b").recipe.training.learning_rate == 0.4
    assert open_home(home.folder / "past" / "1" / "arms" / "e.b").recipe.training.learning_rate == 0.3
    with home.open_events() as log:
        log.append(EVENTS, world_events(3))
    arm.write_text("[training]\nlearning_rate = 0.5")
    with pytest.raises(SettingsError, match="these differ: training"):
        home_to_start(home.folder, small_recipe(experiment))

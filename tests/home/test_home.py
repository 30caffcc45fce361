"""The folder of a live system: the status that it holds, and the settings that it accepts."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from easq.errors import InputError, SettingsError
from easq.home.home import open_home
from easq.model.method import read_method
from easq.recipe.read import read_recipe
from easq.service.supervisor import Pace
from tests.support.small_worlds import small_recipe


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", "{}", '{"ready": true}', "[" * 100_000, "\udc80"])
def test_a_damaged_status_reads_as_no_status(tmp_path: Path, text: str) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    assert home.read_status("service") == {}
    (home.folder / "service.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert home.read_status("service") == {}
    assert Pace().line(home.read_status("service"), home.read_status("learner")) == "starting"
    home.write_status("service", {"at": 1.0, "ready": True})
    assert home.read_status("service") == {"at": 1.0, "ready": True}
    assert "0.0 rankings/s" in Pace().line(home.read_status("service"), home.read_status("learner"))


def test_settings_are_written_only_when_they_change(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    path = home.folder / "settings.toml"
    path.write_text(f"# by hand\n{path.read_text()}")
    before = path.stat()
    open_home(home.folder)
    open_home(home.folder, small_recipe())
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    open_home(home.folder, small_recipe("service.log_top=3"))
    assert open_home(home.folder).recipe.service.log_top == 3
    assert {entry.name for entry in home.folder.iterdir()} <= {"settings.toml", "identity.toml"}


def test_settings_changed_by_hand_are_refused_where_they_may_not_change(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    path = home.folder / "settings.toml"
    made = path.read_text()
    path.write_text(
        made.replace("learning_rate = 0.003", "learning_rate = 0.3").replace("seed = 1", "seed = 2")
    )
    for recipe in (None, read_recipe(path, methods=read_method)):
        with pytest.raises(SettingsError, match=r"identity.toml\); these differ: seed, training\. While"):
            open_home(home.folder, recipe)
    path.write_text(made.replace("log_top = 20", "log_top = 7"))
    assert open_home(home.folder).recipe.service.log_top == 7


def test_a_home_without_an_identity_gets_that_of_its_settings_when_it_starts(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    (home.folder / "identity.toml").unlink()
    open_home(home.folder)
    assert not (home.folder / "identity.toml").exists()
    with pytest.raises(SettingsError, match="these differ: seed"):
        open_home(home.folder, small_recipe("seed=2"))
    open_home(home.folder, home.recipe)
    assert read_recipe(home.folder / "identity.toml", methods=read_method) == home.recipe


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="home cannot be written: Not a directory"):
        open_home(tmp_path / "file" / "home", small_recipe())


def test_a_log_that_was_removed_is_not_begun_anew(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    with home.open_events(), home.open_updates():
        pass
    (home.folder / "events.log").unlink()
    with pytest.raises(InputError, match=r"events.log was removed. Put it back"), home.open_events():
        pass
    assert not (home.folder / "events.log").exists()
    (home.folder / "updates.log").unlink()
    with home.open_events():
        assert (home.folder / "events.log").exists()


def test_a_new_home_draws_a_salt_and_keeps_it(tmp_path: Path) -> None:
    first, second = (open_home(tmp_path / n, small_recipe(), draws_salt=True).recipe for n in ("a", "b"))
    assert 0 < first.row_salt != second.row_salt > 0
    for draws in (True, False):
        assert open_home(tmp_path / "a", small_recipe(), draws_salt=draws).recipe == first
    assert open_home(tmp_path / "a").recipe.row_salt == first.row_salt
    with pytest.raises(SettingsError, match="these differ: row_salt"):
        open_home(tmp_path / "a", small_recipe("row_salt=5"))
    assert open_home(tmp_path / "c", small_recipe("row_salt=5"), draws_salt=True).recipe.row_salt == 5


def test_a_home_of_before_salts_goes_on_without_one(tmp_path: Path) -> None:
    open_home(tmp_path / "home", small_recipe())
    for name in ("settings.toml", "identity.toml"):
        path = tmp_path / "home" / name
        path.write_text(path.read_text().replace("row_salt = 0\n", ""))
    assert open_home(tmp_path / "home", small_recipe(), draws_salt=True).recipe.row_salt == 0


def test_of_those_who_make_a_home_at_once_one_draws_its_salt(tmp_path: Path) -> None:
    def make(_: int) -> int:
        return open_home(tmp_path / "home", small_recipe(), draws_salt=True).recipe.row_salt

    with ThreadPoolExecutor(8) as pool:
        salts = set(pool.map(make, range(16)))
    assert len(salts) == 1
    assert not list((tmp_path / "home").glob(".*"))


@pytest.mark.parametrize("role", ["service", "learner", "freeze"])
def test_one_process_holds_a_role_also_when_its_lock_file_is_gone(tmp_path: Path, role: str) -> None:
    home = open_home(tmp_path / "home", small_recipe())
    code = (
        "import sys; from pathlib import Path; from easq.home.home import open_home\n"
        "with open_home(Path(sys.argv[1])).lock(sys.argv[2]): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(home.folder), role]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"has a running {role} already; stop it first"), home.lock(role):
            pass
        if role != "freeze":
            (home.folder / f".{role}.lock").unlink()
            with pytest.raises(InputError, match=f"has a running {role} already"), home.lock(role):
                pass
        other.stdin.close()
        other.wait()
    with home.lock(role):
        pass

"""`easq keys` as an operator meets it."""

import json
from pathlib import Path

import pytest

from easq.home.home import open_home
from easq.service.http.keys import Keys, create_key, read_keys
from tests.cli.test_cli import easq
from tests.support.small_worlds import small_recipe


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    made = easq("keys", "create", "--home", tmp_path, "--scope", "server", "--label", "the app")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    key = Keys(tmp_path / "keys.json").find(token)
    assert key is not None
    listed = json.loads(easq("keys", "list", "--home", tmp_path, "--json").stdout)["keys"]
    assert listed == [{"id": key.id, "scope": "server", "created": key.created, "label": "the app"}]
    assert token.split("_", 2)[2] not in easq("keys", "list", "--home", tmp_path).stdout
    assert easq("keys", "revoke", key.id, "--home", tmp_path).returncode == 0
    assert Keys(tmp_path / "keys.json").find(token) is None


@pytest.mark.parametrize("label", ["[/foo]", "[red]x", "[[", ":smile:", "a [b] c", "\\[x"])
def test_a_label_is_printed_as_it_is(tmp_path: Path, label: str) -> None:
    folder = tmp_path / "x[/red]y"
    folder.mkdir(parents=True)
    create_key(folder / "keys.json", "server", label)
    listed = easq("keys", "list", "--home", folder)
    assert (listed.returncode, label in listed.stdout) == (0, True), listed.stderr
    (key,) = read_keys(folder / "keys.json")
    revoked = easq("keys", "revoke", key.id, "--home", folder)
    assert (revoked.returncode, label in revoked.stdout) == (0, True), revoked.stderr


def test_up_does_not_open_what_has_a_key(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe()).folder
    key = create_key(home / "keys.json", "server", "")
    done = easq("up", "--home", home, "--port", "0", "--open")
    assert (done.returncode, "--open: there are keys" in done.stderr) == (2, True)
    assert Keys(home / "keys.json").find(key) is not None


def test_impossible_arguments_are_refused_in_one_line(tmp_path: Path) -> None:
    nowhere = easq("keys", "create", "--home", tmp_path / "no", "--scope", "server")
    assert (nowhere.returncode, "there is no folder" in nowhere.stderr) == (2, True)
    unknown = easq("keys", "create", "--home", tmp_path, "--scope", "root")
    assert unknown.returncode == 2
    assert "scope: got 'root'; allowed: server, viewer, admin" in unknown.stderr
    gone = easq("keys", "revoke", "000000000000", "--home", tmp_path)
    assert (gone.returncode, "the file holds no key" in gone.stderr) == (2, True)

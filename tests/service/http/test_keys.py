"""Keys are made, found, revoked and noticed; nothing of a secret is stored."""

import stat
import threading
from pathlib import Path

import pytest

from easq.errors import InputError
from easq.service.http.keys import Keys, create_key, open_again, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys.json"


def test_a_key_is_found_by_its_whole_text_alone(path: Path) -> None:
    token = create_key(path, "server", "the app")
    key = Keys(path).find(token)
    assert key is not None
    assert (key.scope, key.label) == ("server", "the app")
    other = create_key(path, "server", "another")
    forged = token[:18] + other[18:]
    damaged = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in ("", "easq_", token[:-1], token + "x", damaged, forged, token.upper(), f" {token}"):
        assert Keys(path).find(wrong) is None


def test_an_unknown_id_is_compared_as_a_known_one_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each well-formed token costs one comparison in constant time."""
    import hmac

    token = create_key(path, "server", "")
    keys, compared = Keys(path), []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    unknown = "easq_" + "0" * 12 + token[17:]
    assert keys.find(token) is not None
    assert keys.find(token[:-2] + "xx") is None
    assert keys.find(unknown) is None
    assert [(len(a), len(b)) for a, b in compared] == [(32, 32)] * 3


def test_a_secret_has_256_random_bits_and_is_not_stored(path: Path) -> None:
    tokens = [create_key(path, "viewer", "") for _ in range(5)]
    text = path.read_text()
    for token in tokens:
        assert len(token) == len("easq_") + 12 + 1 + 43
        assert token.split("_", 2)[2] not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_revoked_key_is_gone_when_the_file_is_read_again(path: Path) -> None:
    token, other = create_key(path, "admin", "ops"), create_key(path, "server", "")
    keys = Keys(path)
    assert not keys.refresh()
    key = keys.find(token)
    assert key is not None
    assert revoke_key(path, key.id) == key
    assert keys.refresh()
    assert keys.find(token) is None
    assert keys.find(other) is not None
    with pytest.raises(InputError, match=rf"no key with the id '{key.id}'; allowed: [0-9a-f]{{12}}$"):
        revoke_key(path, key.id)


def test_without_keys_it_is_open_and_with_the_last_revoked_it_stays_closed(path: Path) -> None:
    keys = Keys(path)
    assert keys.is_open
    token = create_key(path, "server", "")
    assert keys.refresh()
    assert not keys.is_open
    revoke_key(path, token)  # the whole key names itself as well as its id does
    assert keys.refresh()
    assert not keys.is_open
    assert not Keys(path).is_open, "a restart does not open it either"


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "of a version without the mark"])
def test_a_lost_file_of_keys_closes_also_after_a_restart(path: Path, marked: bool) -> None:
    create_key(path, "server", "")
    if not marked:
        (path.parent / ".keys_were_made").unlink()
        assert not Keys(path).is_open
    path.unlink()
    assert not Keys(path).is_open
    path.write_text('{"keys": []}')
    assert not Keys(path).is_open


@pytest.mark.parametrize("text", ["", "{}", '{"keys"', '{"keys": null}'])
def test_an_emptied_file_of_keys_is_refused_at_the_start(path: Path, text: str) -> None:
    create_key(path, "server", "")
    path.write_text(text)
    with pytest.raises(InputError, match="is not a file of keys"):
        Keys(path)


def test_a_key_that_came_and_went_between_two_looks_closes(path: Path) -> None:
    keys = Keys(path)
    revoke_key(path, create_key(path, "server", ""))
    path.unlink()
    assert not keys.refresh()
    assert not keys.is_open


def test_only_asking_for_it_opens_what_had_keys_and_never_while_there_is_one(path: Path) -> None:
    token = create_key(path, "server", "")
    with pytest.raises(InputError, match=r"--open: there are keys \([0-9a-f]{12}\); revoke them first"):
        open_again(path)
    assert Keys(path).find(token) is not None
    revoke_key(path, token)
    open_again(path)
    assert Keys(path).is_open
    create_key(path, "server", "")
    assert not Keys(path).is_open


def test_a_message_about_a_key_never_holds_its_secret(path: Path) -> None:
    token = create_key(path, "server", "")
    revoke_key(path, f"{token}\n")
    with pytest.raises(InputError) as caught:
        revoke_key(path, token)
    assert token[18:] not in str(caught.value)


def test_a_damaged_or_absent_file_leaves_the_keys_as_they_were(path: Path) -> None:
    token = create_key(path, "server", "")
    keys = Keys(path)
    for text in ('{"keys": [{"id": "x"}]}', '{"other": %s}' % ("[" * 100_000), "", "\x00"):
        path.write_text(text)
        with pytest.raises(InputError, match="is not a file of keys"):
            keys.refresh()
    path.unlink()
    with pytest.raises(InputError, match="is gone; the keys known so far stay valid"):
        keys.refresh()
    assert keys.find(token) is not None


def test_keys_made_at_the_same_time_are_all_there(path: Path) -> None:
    threads = [threading.Thread(target=create_key, args=(path, "server", str(n))) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(key.label) for key in read_keys(path)) == list(range(16))


def test_an_impossible_key_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="scope: got 'root'; allowed: server, viewer, admin"):
        create_key(path, "root", "")
    with pytest.raises(InputError, match=r"label: got .*; allowed: at most 100 printable characters"):
        create_key(path, "server", "two\nlines")
    assert not path.exists()

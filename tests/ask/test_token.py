"""Tokens hold what they are for, and nothing else is one."""

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.ask.token import Ticket, TokenError, Tokens, read_secret
from easq.errors import InputError

TICKET = Ticket("q1", "Zoë 🦊", "r1", "i1", "satisfaction", "1", until=1000)
TOKENS = Tokens(bytes(range(32)))


def code(token: str, now_ms: int = 0, tokens: Tokens = TOKENS) -> str:
    with pytest.raises(TokenError) as error:
        tokens.read(token, now_ms)
    return error.value.code


def test_a_token_holds_its_ticket_until_it_expires() -> None:
    token = TOKENS.make(TICKET)
    assert token == TOKENS.make(TICKET)
    assert TOKENS.read(token, 999) == TICKET
    assert code(token, 1000) == "expired"


def test_a_token_with_any_byte_changed_is_refused() -> None:
    token = TOKENS.make(TICKET)
    for place in range(len(token)):
        for letter in string.ascii_letters + string.digits + "-_.=! \n":
            if letter != token[place]:
                assert code(token[:place] + letter + token[place + 1 :]) == "forged"


def test_a_token_with_bytes_more_or_fewer_is_refused() -> None:
    token = TOKENS.make(TICKET)
    for place in range(len(token) + 1):
        assert code(token[:place] + token[place + 1 :] if place < len(token) else token[1:]) == "forged"
        for added in ("A", "!", "=", ".", "\n", "AAAA", "!!!!"):
            assert code(token[:place] + added + token[place:]) == "forged"


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    assert code(text) == "forged"
    assert code("\ud800" + text) == "forged"


def test_another_secret_makes_other_tokens() -> None:
    assert code(TOKENS.make(TICKET), tokens=Tokens(bytes(32))) == "forged"


def test_parts_of_two_tokens_do_not_fit() -> None:
    one, other = TOKENS.make(TICKET), TOKENS.make(Ticket(*"abcdef", until=1000))
    assert code(one.partition(".")[0] + "." + other.partition(".")[2]) == "forged"


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = read_secret(path)
    assert (len(secret), read_secret(path), path.stat().st_mode & 0o777) == (32, secret, 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert read_secret(tmp_path / "other") != secret


def test_of_two_processes_that_make_a_secret_the_first_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, link = tmp_path / "secret", os.link

    def lose(source: Path, target: Path) -> None:
        path.write_text("ab" * 32)
        link(source, target)

    monkeypatch.setattr(os, "link", lose)
    assert read_secret(path) == b"\xab" * 32
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    ("text", "message"), [("xyz", "is not a secret: non-hexadecimal"), ("abcd", "it holds 2 bytes, not 32")]
)
def test_a_file_that_is_no_secret_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_secret(path)

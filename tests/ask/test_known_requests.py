"""A view is of the viewer who was ranked for, and of an item that came back."""

from zlib import crc32

import pytest

from easq.ask.known_requests import KnownRequests
from easq.log.events import Request
from easq.log.packing import pack_counts

NOW = 1_700_000_000_000


def ranked(user: str, items: list[str], num_returned: int = 0) -> KnownRequests:
    known = KnownRequests(60_000)
    ranks = pack_counts(range(len(items)))
    request = Request(
        event_id="r",
        user_id=user,
        ts=NOW,
        items=items,
        viewer={},
        candidates={},
        ranks=ranks,
        num_returned=num_returned,
    )
    known.ingest(request, NOW)
    again = KnownRequests(60_000)
    again.restore(known.state())
    assert again.state() == known.state()
    return again


def test_names_of_one_checksum_are_not_one_name() -> None:
    one, other = "plumless", "buckeroo"
    assert crc32(one.encode()) == crc32(other.encode())
    assert ranked(one, ["a"]).why_not(one, "r", "a", NOW) == ""
    assert ranked(one, ["a"]).why_not(other, "r", "a", NOW) == "the ranking was another viewer's"
    assert ranked("u", [one]).why_not("u", "r", one, NOW) == ""
    assert "not among those" in ranked("u", [one]).why_not("u", "r", other, NOW)
    assert ranked("u", [one]).latest("u", other) == ""


def test_what_was_logged_and_not_returned_was_not_seen() -> None:
    known = ranked("u", ["a", "b", "c"], num_returned=2)
    assert [known.why_not("u", "r", item, NOW) == "" for item in "abc"] == [True, True, False]
    # An older log does not say how many came back.
    assert ranked("u", ["a", "b", "c"]).why_not("u", "r", "c", NOW) == ""


@pytest.mark.parametrize("name", ["é\u6ee1", "x" * 128, "a b", "\ud800"])
def test_any_name_is_remembered(name: str) -> None:
    assert ranked(name, [name, "b"]).why_not(name, "r", name, NOW) == ""
    assert ranked(name, [name, "b"]).latest(name, "b") == "r"

from pathlib import Path

from easq.home.digit_ids import advice, hashed_names
from easq.log.events import EVENTS, Request
from easq.log.ids import category_ids, stable_id
from easq.log.packing import pack_ids
from easq.log.sqlite import SqliteLog


def request(number: int, hashed: bool) -> Request:
    names = ["7", "b"]
    return Request(
        event_id=f"r{number}",
        user_id="1003",
        ts=number,
        items=names,
        viewer={"user_id": pack_ids([stable_id("1003") if hashed else 1003])},
        candidates={"item_id": pack_ids([stable_id(n) for n in names] if hashed else category_ids(names))},
    )


def test_a_home_of_hashed_digits_is_told_until_its_newest_requests_are_of_today(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "a.log") as log:
        assert hashed_names(log) == []
        log.append(EVENTS, [request(0, True)])
        assert hashed_names(log) == ["1003", "7"]
        assert "2 viewers and items of its newest requests (1003, 7)" in advice(hashed_names(log))
        log.append(EVENTS, [request(n, False) for n in range(1, 2049)])
        assert hashed_names(log) == []

"""Tests of whose an id is, for every event log. Inherited together with `LogConformance`."""

from contextlib import closing

import msgspec
import pytest

from easq.log.base import EventLog, Position, TakenError
from easq.log.events import Answered, Asked
from tests.support.log_conformance import TOPIC, Opener, a_report, ids


class IdsConformance:
    """The suite; the fixtures are those of `LogConformance`."""

    @pytest.mark.parametrize("is_one_append", [True, False])
    def test_an_id_belongs_to_its_viewer(self, opener: Opener, is_one_append: bool) -> None:
        events = [a_report("e", f"u{n}", n) for n in range(9)]
        sizes = [9] if is_one_append else [1] * 9
        with closing(opener()) as log:
            rest, there = list(events), list[Position]()
            for size in sizes:
                there += log.append(TOPIC, rest[:size])
                rest = rest[size:]
            assert [log.read(TOPIC, *position, 1) for position in there] == [[event] for event in events]
        with closing(opener()) as log:
            assert log.append(TOPIC, events[::-1]) == there[::-1]
            assert ids(log) == ["e"] * 9

    def test_another_event_under_an_id_is_not_taken_for_it(self, log: EventLog) -> None:
        """Nor acknowledged: neither of one append nor of a later one, whoever had the id first."""
        first = [a_report("a", "u", 1), a_report("a", "v", 2)]
        there = log.append(TOPIC, first)
        fresh = a_report("b", "u", 4)
        others = [a_report("a", user, 3, b"other") for user in "uv"]
        with pytest.raises(TakenError, match="holds another event of 'u' as 'a' and 1 more"):
            log.append(TOPIC, [fresh, *others])
        assert ids(log) == ["a", "a"]
        later = log.append_each(TOPIC, [others[0], fresh, others[1], *first, a_report("b", "u", 5, b"other")])
        assert [later[0], later[2], later[5]] == [None] * 3
        assert later[3:5] == there
        assert later[1] is not None
        assert log.read(TOPIC, *later[1], 1) == [fresh]
        asked = Asked(
            event_id="a", user_id="u", ts=1, request_id="r", item_id="i", question="q", propensity=0.5
        )
        assert log.append_each(TOPIC, [asked]) == [None]

    def test_what_was_decided_on_arrival_is_no_other_content(self, log: EventLog) -> None:
        said = Answered(
            event_id="a",
            user_id="u",
            ts=1,
            request_id="r",
            item_id="i",
            question="q",
            option="good",
            propensity=0.5,
        )
        there = log.append(TOPIC, [said])
        again = msgspec.structs.replace(said, ts=7, weight=0.2, flags=["burst"])
        assert log.append(TOPIC, [again]) == there
        assert log.append_each(TOPIC, [msgspec.structs.replace(said, option="bad")]) == [None]

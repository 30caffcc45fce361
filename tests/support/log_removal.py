"""Tests of removal and erasure for every event log. Inherited together with `LogConformance`."""

from contextlib import closing

import pytest

from easq.log.base import EventLog, Position, TrimmedError
from easq.log.events import Erased
from tests.support.log_conformance import TOPIC, Opener, a_report, batch, stored


class RemovalConformance:
    """The suite; the fixtures are those of `LogConformance`."""

    def test_trimmed_events_are_gone_and_offsets_stay(self, log: EventLog) -> None:
        log.append(TOPIC, batch("a", 60))
        log.append("other", batch("a", 60))
        ends = log.end_offsets(TOPIC)
        before = [end // 2 for end in ends]
        log.trim(TOPIC, before)
        assert log.start_offsets(TOPIC) == before
        assert (log.end_offsets(TOPIC), log.start_offsets("other")) == (ends, [0] * len(ends))
        for partition, (start, end) in enumerate(zip(before, ends, strict=True)):
            assert len(log.read(TOPIC, partition, start, 100)) == end - start
            if start:
                with pytest.raises(TrimmedError, match=f"begins at offset {start}, {start - 1} was asked"):
                    log.read(TOPIC, partition, start - 1, 100)

    def test_a_partition_trimmed_to_its_end_continues_there(self, log: EventLog) -> None:
        (first,) = log.append(TOPIC, [a_report("a", "u")])
        ends = log.end_offsets(TOPIC)
        log.trim(TOPIC, [end + 5 for end in ends])
        assert log.start_offsets(TOPIC) == log.end_offsets(TOPIC) == ends
        assert log.read(TOPIC, first.partition, 1, 10) == []
        with pytest.raises(TrimmedError):
            log.read(TOPIC, first.partition, 0, 10)
        # Its id was removed with it, so the same event is a new one.
        assert log.append(TOPIC, [a_report("a", "u")]) == [Position(first.partition, 1)]
        with pytest.raises(ValueError, match="one offset for each"):
            log.trim(TOPIC, [*ends, 0])

    def test_erased_events_leave_tombstones_and_do_not_come_back(self, opener: Opener) -> None:
        with closing(opener()) as log:
            there = log.append(TOPIC, batch("a", 60))
            log.append("other", batch("a", 60))
            ends, before = log.end_offsets(TOPIC), stored(log)
            log.erase(TOPIC, there[::3])
            log.erase(TOPIC, there[:1])
        with closing(opener()) as log:
            assert log.end_offsets(TOPIC) == ends
            for position, event in zip(there, batch("a", 60), strict=True):
                (result,) = log.read(TOPIC, *position, 1)
                is_erased = position in there[::3]
                assert result == (Erased(event_id="", user_id="", ts=event.ts) if is_erased else event)
            # Neither erased nor other events are written again, and no other topic is touched.
            assert log.append(TOPIC, batch("a", 60)) == there
            assert log.end_offsets(TOPIC) == ends
            assert stored(log, "other") == before
            # Trimming forgets the ids of erased events too.
            log.trim(TOPIC, ends)
            assert log.append(TOPIC, batch("a", 1))[0].offset == ends[there[0].partition]

    def test_an_erased_id_stays_its_viewers(self, opener: Opener) -> None:
        """Another viewer's event with it is another one, whether it was written before or comes after."""
        events = [a_report("e", user, n) for n, user in enumerate("uvw")]
        with closing(opener()) as log:
            there = log.append(TOPIC, events)
            log.erase(TOPIC, there[:1])
            assert log.append(TOPIC, events) == there
            late = [a_report("e", "x", 4), a_report("e", "y", 5)]
            (position, _) = more = log.append(TOPIC, late)
            assert log.read(TOPIC, *position, 1) == late[:1]
            log.erase(TOPIC, [there[1], position])
        with closing(opener()) as log:
            ends = log.end_offsets(TOPIC)
            assert log.append(TOPIC, [*events, *late]) == there + more
            assert log.end_offsets(TOPIC) == ends
            assert log.append_each(TOPIC, [a_report("e", "w", 9, b"other")]) == [None]

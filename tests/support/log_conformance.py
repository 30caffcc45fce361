"""What every event log must do; a test class per implementation inherits it and says how to open one.

`opener` opens the same log each time it is called, in any process: it must pickle.
"""

import multiprocessing
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easq.log.base import EventLog, Position, partition_of
from easq.log.events import Behavior, Event, encode
from tests.support.log_kinds import EVERY_KIND, LaterBehavior

Opener = Callable[[], EventLog]

TOPIC = "events"
PATIENCE_S = 30.0
"""How long to wait for what must happen; no test passes by letting it run out."""

_spawning = multiprocessing.get_context("spawn")


def a_report(event_id: str, user: str, ts: int = 0, note: bytes = b"") -> Behavior:
    """Return a small event; `ts` is a number that order can be seen by."""
    return Behavior(
        event_id=event_id, user_id=user, ts=ts, request_id="r", items=["i"], values={"note": note}
    )


def batch(name: str, size: int, note: bytes = b"") -> list[Behavior]:
    """Return events of five viewers with ids that name their batch."""
    return [a_report(f"{name}/{i}", f"u{i % 5}", i, note) for i in range(size)]


def stored(log: EventLog, topic: str = TOPIC) -> list[list[Event]]:
    """Return everything per partition, read in pages, and check that offsets have no gaps."""
    parts: list[list[Event]] = [[] for _ in range(log.partitions(topic))]
    for partition, (events, end) in enumerate(zip(parts, log.end_offsets(topic), strict=True)):
        while page := log.read(topic, partition, len(events), 97):
            events.extend(page)
        assert len(events) == end, f"partition {partition} holds {len(events)} events, its end is {end}"
        for event in events:
            assert partition_of(event.user_id, len(parts)) == partition, f"{event.event_id} is elsewhere"
    return parts


def ids(log: EventLog, topic: str = TOPIC) -> list[str]:
    """Return the ids of everything stored, sorted, and check that no viewer has one twice."""
    result = sorted((event.event_id, event.user_id) for part in stored(log, topic) for event in part)
    assert len(set(result)) == len(result), "an event is stored twice"
    return [event_id for event_id, _ in result]


def whole_batches(log: EventLog) -> set[str]:
    """Return the names of the stored batches, and check that each is there whole and in order."""
    parts: dict[str, list[int]] = defaultdict(list)
    for part in stored(log):
        last: dict[tuple[str, str], int] = defaultdict(lambda: -1)
        for event in part:
            name, _, number = event.event_id.rpartition("/")
            assert last[name, event.user_id] < int(number), f"{event.event_id} is out of order"
            last[name, event.user_id] = int(number)
            parts[name].append(int(number))
    for name, numbers in parts.items():
        size = int(name.rpartition(":")[2])
        assert sorted(numbers) == list(range(size)), f"batch {name} is not whole: {sorted(numbers)}"
    return set(parts)


@contextmanager
def running(work: Callable[..., None], *values: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """Run `work(*values, pipe)` in a process of its own; it is gone at the end, whatever happened."""
    ours, theirs = _spawning.Pipe()
    process = _spawning.Process(target=work, args=(*values, theirs))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def receive(pipe: Connection) -> Any:
    """Return the next message of the process; fail if it sends none."""
    assert pipe.poll(PATIENCE_S), "the process is silent"
    return pipe.recv()


def _append_until_killed(opener: Opener, seed: int, pipe: Connection) -> None:
    rng = random.Random(seed)
    with closing(opener()) as log:
        for number in count():
            size = rng.choice([1, 2, 30, 400])
            name = f"{seed}.{number}:{size}"
            log.append(TOPIC, batch(name, size, rng.randbytes(rng.choice([0, 10, 3000]))))
            pipe.send(name)


def append_each(opener: Opener, batches: list[list[Event]], pipe: Connection) -> None:
    """Say "ready", wait for a word, append each batch and say where everything stands."""
    with closing(opener()) as log:
        pipe.send("ready")
        pipe.recv()
        pipe.send([log.append(TOPIC, events) for events in batches])


def _model_append(
    parts: list[list[Behavior]], places: dict[tuple[str, str], Position], events: Sequence[Behavior]
) -> list[Position | None]:
    """Append to a log made of lists."""
    result: list[Position | None] = []
    for event in events:
        name = event.event_id, event.user_id
        if name not in places:
            partition = partition_of(event.user_id, len(parts))
            places[name] = Position(partition, len(parts[partition]))
            parts[partition].append(event)
        place = places[name]
        result.append(place if parts[place.partition][place.offset].values == event.values else None)
    return result


class LogConformance:
    """The suite: inherit it in a class called `Test...` and override `opener`."""

    @pytest.fixture
    def opener(self) -> Opener:
        raise NotImplementedError("say how to open the log")

    @pytest.fixture
    def log(self, opener: Opener) -> Iterator[EventLog]:
        with closing(opener()) as log:
            yield log

    def test_an_unknown_topic_is_empty(self, log: EventLog) -> None:
        num = log.partitions("never")
        assert log.end_offsets("never") == [0] * num
        assert [log.read("never", partition, 0, 10) for partition in range(num)] == [[]] * num
        assert log.append("never", []) == []
        assert log.end_offsets("never") == [0] * num

    def test_every_kind_of_event_comes_back_equal(self, log: EventLog) -> None:
        positions = log.append(TOPIC, EVERY_KIND)
        assert [log.read(TOPIC, p, offset, 1) for p, offset in positions] == [[e] for e in EVERY_KIND]

    def test_each_partition_is_in_order_without_gaps(self, log: EventLog) -> None:
        rng = random.Random(1)
        events = [a_report(f"e{i}", f"u{rng.randrange(50)}", i) for i in range(1000)]
        positions: list[Position] = []
        while len(positions) < len(events):
            positions += log.append(TOPIC, events[len(positions) :][: rng.randrange(1, 90)])
        parts = stored(log)
        assert all(len(part) > 100 for part in parts)
        assert all([e.ts for e in part] == sorted(e.ts for e in part) for part in parts)
        assert [parts[p][offset] for p, offset in positions] == events
        assert sorted(positions) == [
            (p, o) for p, end in enumerate(log.end_offsets(TOPIC)) for o in range(end)
        ]

    def test_a_viewer_meets_in_one_partition(self, log: EventLog) -> None:
        log.append(TOPIC, [a_report(f"{user}/{i}", f"u{user}") for i in range(20) for user in range(40)])
        home: dict[str, set[int]] = defaultdict(set)
        for partition, part in enumerate(stored(log)):
            for event in part:
                home[event.user_id].add(partition)
        assert len(home) == 40
        assert all(len(partitions) == 1 for partitions in home.values())

    def test_read_returns_the_asked_range(self, log: EventLog) -> None:
        events = [a_report(f"e{i}", "u") for i in range(10)]
        partition = log.append(TOPIC, events)[0].partition
        assert log.read(TOPIC, partition, 0, 10**9) == events
        assert log.read(TOPIC, partition, 3, 4) == events[3:7]
        assert log.read_encoded(TOPIC, partition, 3, 4) == [encode(e) for e in events[3:7]]
        assert log.read(TOPIC, partition, 9, 4) == events[9:]
        assert log.read(TOPIC, partition, 10, 4) == []
        assert log.read(TOPIC, partition, 10**15, 4) == []
        assert log.read(TOPIC, partition, 0, 0) == []

    def test_topics_are_apart(self, log: EventLog) -> None:
        topics = ["events", "updates", 'it\'s; a "topic"', "äß"]
        for number, topic in enumerate(topics):
            assert log.append(topic, [a_report("same", "u", number)])[0].offset == 0
        assert [[e.ts for part in stored(log, topic) for e in part] for topic in topics] == [
            [0],
            [1],
            [2],
            [3],
        ]

    def test_an_event_is_written_once(self, log: EventLog) -> None:
        first, second = a_report("a", "u", 1), a_report("b", "v", 2)
        there = log.append(TOPIC, [first, second])
        assert log.append(TOPIC, [second, first]) == there[::-1]
        assert log.append_each(TOPIC, [second, first]) == there[::-1]
        # A sender who repeats a call without a time gets another one.
        assert log.append(TOPIC, [a_report("a", "u", 9)]) == there[:1]
        assert sorted(e.ts for part in stored(log) for e in part) == [1, 2]

    def test_an_event_twice_in_one_append_is_written_once(self, log: EventLog) -> None:
        positions = log.append(TOPIC, [a_report("a", "u", 1), a_report("b", "u", 2), a_report("a", "u", 3)])
        assert positions[0] == positions[2]
        assert positions[1].offset == positions[0].offset + 1
        assert ids(log) == ["a", "b"]

    def test_reopened_log_holds_the_same_and_knows_the_ids(self, opener: Opener) -> None:
        events = batch("x:1200", 1200)
        with closing(opener()) as log:
            there, before = log.append(TOPIC, events), stored(log)
        with closing(opener()) as log:
            assert stored(log) == before
            assert log.append(TOPIC, events) == there
            assert stored(log) == before

    def test_unknown_fields_are_tolerated(self, log: EventLog) -> None:
        later = LaterBehavior(
            event_id="e", user_id="u", ts=1, v=2, request_id="r", items=["i"], values={}, mood={"good": [1]}
        )
        (position,) = log.append(TOPIC, [later])
        (event,) = log.read(TOPIC, *position, 1)
        assert event == Behavior(event_id="e", user_id="u", ts=1, v=2, request_id="r", items=["i"], values={})

    def test_what_was_acknowledged_outlives_a_killed_writer(self, opener: Opener) -> None:
        acknowledged: set[str] = set()
        for seed in range(4):
            rng = random.Random(seed)
            with running(_append_until_killed, opener, seed) as (process, pipe):
                for _ in range(rng.randrange(1, 60)):
                    acknowledged.add(receive(pipe))
                time.sleep(rng.random() / 50)
                process.kill()
                with suppress(EOFError, OSError):
                    while True:
                        acknowledged.add(pipe.recv())
            with closing(opener()) as log:
                result = whole_batches(log)
                ids(log)
            assert acknowledged <= result
            # Of each killed writer, only its last append may stand without having been acknowledged.
            assert len(result - acknowledged) <= seed + 1

    def test_writers_and_a_reader_go_on_at_once(self, opener: Opener) -> None:
        num_writers, batches = 3, 40
        work = [[batch(f"{w}.{b}:7", 7) for b in range(batches)] for w in range(num_writers)]
        with (
            closing(opener()) as log,
            running(append_each, opener, work[0]) as (_, one),
            running(append_each, opener, work[1]) as (_, two),
            running(append_each, opener, work[2]) as (_, three),
        ):
            pipes = one, two, three
            assert [receive(pipe) for pipe in pipes] == ["ready"] * num_writers
            for pipe in pipes:
                pipe.send("go")
            parts: list[list[Event]] = [[] for _ in range(log.partitions(TOPIC))]
            while sum(map(len, parts)) < num_writers * batches * 7:
                assert log.wait(TOPIC, [len(part) for part in parts], PATIENCE_S)
                for partition, part in enumerate(parts):
                    part.extend(log.read(TOPIC, partition, len(part), 13))
            assert parts == stored(log)
            assert len(whole_batches(log)) == num_writers * batches
            for events, pipe in zip(work, pipes, strict=True):
                for written, positions in zip(events, receive(pipe), strict=True):
                    assert [parts[p][offset] for p, offset in positions] == written

    def test_two_processes_that_append_the_same_write_it_once(self, opener: Opener) -> None:
        batches = [batch(f"{b}:20", 20) for b in range(40)]
        with (
            running(append_each, opener, batches) as (_, one),
            running(append_each, opener, batches) as (_, two),
        ):
            assert receive(one) == receive(two) == "ready"
            one.send("go")
            two.send("go")
            assert receive(one) == receive(two)
        with closing(opener()) as log:
            assert ids(log) == sorted(event.event_id for events in batches for event in events)

    def test_threads_share_one_log(self, log: EventLog) -> None:
        num_threads, batches = 4, 25
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for b in range(batches):
                    events = batch(f"{number}.{b}:5", 5)
                    positions = log.append(TOPIC, [*events, a_report("all", "u0")])
                    assert [log.read(TOPIC, *position, 1)[0] for position in positions[:5]] == events
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(num_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(ids(log)) == num_threads * batches * 5 + 1

    def test_wait_ends_with_an_append_of_another_process(self, opener: Opener) -> None:
        with closing(opener()) as log, running(append_each, opener, [batch("x:1", 1)]) as (_, pipe):
            ends = log.end_offsets(TOPIC)
            assert receive(pipe) == "ready"
            timer = threading.Timer(0.05, pipe.send, ["go"])
            timer.start()
            assert log.wait(TOPIC, ends, PATIENCE_S)
            timer.join()
            ((position,),) = receive(pipe)
            assert log.read(TOPIC, position.partition, position.offset, 1) == batch("x:1", 1)

    def test_wait_ends_with_an_append_of_its_own_process(self, log: EventLog) -> None:
        timer = threading.Timer(0.05, log.append, [TOPIC, batch("x:1", 1)])
        timer.start()
        assert log.wait(TOPIC, log.end_offsets(TOPIC), PATIENCE_S)
        timer.join()

    def test_wait_ends_at_once_when_there_is_more(self, log: EventLog) -> None:
        log.append(TOPIC, [a_report("a", "u")])
        assert log.wait(TOPIC, [0] * log.partitions(TOPIC), 0)

    def test_wait_times_out_where_nothing_is_appended(self, log: EventLog) -> None:
        log.append(TOPIC, [a_report("a", "u")])
        log.append("another", [a_report("a", "u")])
        assert not log.wait(TOPIC, log.end_offsets(TOPIC), 0.05)
        assert not log.wait(TOPIC, log.end_offsets(TOPIC), 0)
        timer = threading.Timer(0.02, log.append, ["another", [a_report("b", "u")]])
        timer.start()
        assert not log.wait(TOPIC, log.end_offsets(TOPIC), 0.1)
        timer.join()

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        appends=st.lists(
            st.tuples(
                st.booleans(),
                st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 1)), max_size=12),
            ),
            max_size=8,
        )
    )
    def test_it_is_lists_by_partition(
        self, opener: Opener, appends: list[tuple[bool, list[tuple[int, int, int]]]]
    ) -> None:
        topic = str(uuid.uuid4())  # a topic for each example, since the log outlives it
        log = opener()
        try:
            parts: list[list[Behavior]] = [[] for _ in range(log.partitions(topic))]
            places: dict[tuple[str, str], Position] = {}
            for reopen, triples in appends:
                if reopen:
                    log.close()
                    log = opener()
                events = [a_report(f"e{e}", f"u{user}", 0, bytes([said])) for e, user, said in triples]
                assert log.append_each(topic, events) == _model_append(parts, places, events)
                assert log.end_offsets(topic) == [len(part) for part in parts]
            assert stored(log, topic) == parts
        finally:
            log.close()

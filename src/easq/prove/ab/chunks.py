"""Decode events into columns: a few fields of many events, without Python code per event.

msgspec decodes a chunk in one call into structs that hold only these fields and skips all others; `map` and
`attrgetter` gather columns from them. Ids become 64-bit hashes that are stable within the process, and
viewers become numbers in order of first appearance.
Shapes: N events of a kind, V entries of reports, K behaviors.
"""

import gc
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, compress, count
from operator import attrgetter
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.arrays import I64
from easq.prove.ab.packed import reported_values
from easq.recipe.questionnaire import Question

Block = dict[str, NDArray[Any]]
"""Columns of the same length, by name."""


class _Narrow(msgspec.Struct, gc=False):
    KIND: ClassVar[int] = 0


class _Request(_Narrow, gc=False, tag="request"):
    KIND: ClassVar[int] = 1
    event_id: str
    user_id: str
    ts: int
    arm: str = ""


class _Behavior(_Narrow, gc=False, tag="behavior"):
    KIND: ClassVar[int] = 2
    user_id: str
    ts: int
    request_id: str
    items: list[str]
    values: msgspec.Raw


class _Asked(_Narrow, gc=False, tag="asked"):
    KIND: ClassVar[int] = 3
    user_id: str
    ts: int
    request_id: str
    item_id: str
    question: str
    propensity: float


class _Answered(_Asked, gc=False, tag="answered"):
    KIND: ClassVar[int] = 4
    option: str
    weight: float = 1.0


class _Offered(_Narrow, gc=False, tag="offered"):
    pass


class _Dismissed(_Narrow, gc=False, tag="dismissed"):
    pass


class _Ignored(_Narrow, gc=False, tag="ignored"):
    pass


class _Erased(_Narrow, gc=False, tag="erased"):
    pass


class LogChunk(msgspec.Struct):
    """The columns of a chunk: requests, entries of reports, and asks and answers to the question.

    `refused` counts reports that could not be read, `not_finite` values that were NaN or infinite; those
    count as 0.
    """

    requests: Block
    views: Block
    asks: Block
    answers: Block
    stays: Block
    refused: int
    not_finite: int


class LogChunks:
    """Decodes chunks of one partition; numbers its viewers and reads labels by `arm_number`."""

    def __init__(
        self, behaviors: Sequence[str], question: Question, arm_number: Callable[[str], int]
    ) -> None:
        self._behaviors, self._question = list(behaviors), question
        kinds: Any = _Request | _Behavior | _Asked | _Answered | _Offered | _Dismissed | _Ignored | _Erased
        self._decoder = msgspec.msgpack.Decoder(list[kinds])
        self.users: defaultdict[str, int] = defaultdict(count().__next__)
        self._arms: dict[str, int] = _Known(arm_number)
        self._options: dict[str, int] = _Known(
            lambda option: question.options.index(option) if option in question.options else -1
        )

    def decode(self, encoded: Sequence[bytes]) -> LogChunk:
        """Return the columns of some events. Raises ValueError for an event that the topic cannot hold."""
        with _no_garbage():
            head = b"\xdd" + struct.pack(">I", len(encoded))
            rows = self._decoder.decode(head + b"".join(encoded))
            kind_N = np.fromiter(map(attrgetter("KIND"), rows), np.int8, len(rows))
            kinds = [list(compress(rows, (kind_N == kind).tolist())) for kind in range(1, 5)]
            requests = self._requests(kinds[0])
            views, reports, (refused, not_finite) = self._views(kinds[1])
            stays = {name: np.concatenate([requests[name], reports[name]]) for name in ("user", "ts")}
            asks, answers = self._asks(kinds[2]), self._answers(kinds[3])
            return LogChunk(requests, views, asks, answers, stays, refused, not_finite)

    def _requests(self, rows: list[Any]) -> Block:
        return {
            "key": _hashes(map(attrgetter("event_id"), rows), len(rows)),
            **self._whose(rows),
            "arm": self._numbers(self._arms, rows, "arm"),
        }

    def _whose(self, rows: list[Any]) -> Block:
        return {
            "user": self._numbers(self.users, rows, "user_id"),
            "ts": np.fromiter(map(attrgetter("ts"), rows), np.int64, len(rows)),
        }

    def _numbers(self, known: dict[str, int], rows: list[Any], name: str) -> I64:
        return np.fromiter(map(known.__getitem__, map(attrgetter(name), rows)), np.int64, len(rows))

    def _views(self, rows: list[Any]) -> tuple[Block, Block, tuple[int, int]]:
        items = list(map(attrgetter("items"), rows))
        size_N = np.fromiter(map(len, items), np.int64, len(rows))
        reports = self._whose(rows)
        request_N = _hashes(map(attrgetter("request_id"), rows), len(rows))
        encoded = list(map(attrgetter("values"), rows))
        value_VK, is_right_N = reported_values(encoded, size_N, self._behaviors)
        num_V, kept_V = len(value_VK), np.repeat(is_right_N, size_N)
        is_finite_VK = np.isfinite(value_VK)
        value_VK[~is_finite_VK] = 0.0
        views: Block = {
            "request": np.repeat(request_N, size_N)[kept_V],
            "user": np.repeat(reports["user"], size_N)[kept_V],
            "ts": np.repeat(reports["ts"], size_N)[kept_V],
            "item": _hashes(chain.from_iterable(items), num_V)[kept_V],
            "value": value_VK[kept_V],
        }
        counts = int(np.count_nonzero(~is_right_N)), int(np.count_nonzero(~is_finite_VK[kept_V]))
        return views, reports, counts

    def _asks(self, rows: list[Any]) -> Block:
        return self._of_question(rows)

    def _answers(self, rows: list[Any]) -> Block:
        columns = self._of_question(rows)
        rows = self._relevant(rows)
        columns["option"] = self._numbers(self._options, rows, "option")
        columns["weight"] = np.fromiter(map(attrgetter("weight"), rows), np.float64, len(rows))
        return {name: column[columns["option"] >= 0] for name, column in columns.items()}

    def _of_question(self, rows: list[Any]) -> Block:
        rows = self._relevant(rows)
        return {
            "request": _hashes(map(attrgetter("request_id"), rows), len(rows)),
            "item": _hashes(map(attrgetter("item_id"), rows), len(rows)),
            **self._whose(rows),
            "propensity": np.fromiter(map(attrgetter("propensity"), rows), np.float64, len(rows)),
        }

    def _relevant(self, rows: list[Any]) -> list[Any]:
        return [row for row in rows if row.question == self._question.name]


class _Known(dict[str, int]):
    """Caches a function's value of each text."""

    def __init__(self, number: Callable[[str], int]) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, text: str) -> int:
        number = self[text] = self._number(text)
        return number


def _hashes(texts: Iterator[str], num: int) -> I64:
    return np.fromiter(map(hash, texts), np.int64, num)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Pause the garbage collector: a million fresh structs hold no cycles, but it would walk them all."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

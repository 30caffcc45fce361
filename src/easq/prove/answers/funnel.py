"""The questionnaire as a funnel, counted from the log: views eligible, asked, shown and answered."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.recipe.recipe import Recipe

_AT_ONCE = 1 << 14


class _Head(msgspec.Struct, gc=False):
    """The few fields of any event that a funnel reads."""

    type: str
    gate: str = ""
    question: str = ""
    option: str = ""


class Funnel(msgspec.Struct):
    """Counts of the events up to `offsets`; a later read continues there, in any process.

    `gates` counts why eligible views were not asked about, `answers` the chosen options of the question that
    trains. Asks of a platform's own questionnaire are shown without having been offered.
    """

    offsets: list[int]
    steps: dict[str, int] = {}
    gates: dict[str, int] = {}
    answers: dict[str, int] = {}


_decoder = msgspec.msgpack.Decoder(_Head)


def read_funnel(recipe: Recipe, log: EventLog, before: Funnel | None = None) -> Funnel:
    """Count from `before`, or from the start of the log, to its end."""
    starts, ends = log.start_offsets(EVENTS), log.end_offsets(EVENTS)
    known = before if before is not None and len(before.offsets) == len(ends) else Funnel(starts)
    steps, gates, answers = Counter(known.steps), Counter(known.gates), Counter(known.answers)
    for partition, (start, end) in enumerate(zip(starts, ends, strict=True)):
        offset = max(start, known.offsets[partition])
        while offset < end:
            encoded = log.read_encoded(EVENTS, partition, offset, min(_AT_ONCE, end - offset))
            _count(encoded, recipe.question.name, steps, gates, answers)
            offset += len(encoded)
    return Funnel(ends, dict(steps), dict(gates), {o: answers[o] for o in recipe.question.options})


def _count(
    encoded: Sequence[bytes],
    question: str,
    steps: Counter[str],
    gates: Counter[str],
    answers: Counter[str],
) -> None:
    heads: list[Any] = [_decoder.decode(data) for data in encoded]
    steps.update(head.type for head in heads)
    steps["drawn"] += sum(head.type == "offered" and not head.gate for head in heads)
    gates.update(head.gate for head in heads if head.gate)
    answers.update(h.option for h in heads if h.type == "answered" and h.question == question)

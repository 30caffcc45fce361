"""The answers of an import, weighed as the live service weighs them, in the order of their events."""

from collections.abc import Iterable, Iterator

import msgspec

from easq.ask.quality import AnswerContext, QualityState, judge, observe
from easq.log.events import Answered, Asked, Event, Request
from easq.log.packing import ID
from easq.recipe.questionnaire import Quality


def weighed(chunks: Iterable[list[Event]], rules: Quality) -> Iterator[list[Event]]:
    """Yield the chunks, each answer with its weight and flags.

    An item's author is the value of the candidate feature `rules.author`, if that is one id, in the item's
    newest request.
    """
    state, authors = QualityState(), dict[str, str]()
    for chunk in chunks:
        result: list[Event] = []
        for event in chunk:
            if isinstance(event, Request):
                _note_authors(authors, event, rules.author)
            if not isinstance(event, Asked | Answered):
                result.append(event)
                continue
            about, said = AnswerContext(authors.get(event.item_id, "")), event
            if isinstance(event, Answered):
                weight, flags = judge(event, state, rules, about)
                said = msgspec.structs.replace(event, weight=weight, flags=flags)
            observe(said, state, rules, about)
            result.append(said)
        yield result


def _note_authors(authors: dict[str, str], request: Request, name: str) -> None:
    column = request.candidates.get(name, b"")
    if len(column) == ID.itemsize * len(request.items) and name not in request.lengths:
        for place, item in enumerate(request.items):
            authors[item] = column[ID.itemsize * place : ID.itemsize * (place + 1)].hex()

"""What answers have shown so far: how much the next one counts, and what it would teach."""

from collections.abc import Callable

import msgspec

from easq.ask import adaptive, quality
from easq.ask.adaptive import Beliefs, Teaching
from easq.ask.decisions import Ask
from easq.ask.policy import sticky
from easq.ask.quality import AnswerContext, QualityState
from easq.ask.recent import forget_oldest
from easq.ask.view import View
from easq.ask.wording import Questions
from easq.log.events import Answered, Asked
from easq.log.known_ids import is_repeated
from easq.recipe.recipe import Recipe

_HOUR_MS = 3_600_000


class AnswerMemory:
    """The states of `quality` and, for the adaptive policy, of `adaptive`, with their settings.

    `ask_of` returns the ask of an id, `author_of` the author of an item, empty if unknown.
    """

    def __init__(
        self,
        recipe: Recipe,
        questions: Questions,
        ask_of: Callable[[str], Ask | None],
        author_of: Callable[[str], str],
    ) -> None:
        self.quality, self.beliefs = QualityState(), Beliefs()
        self._rules, self._question = recipe.quality, recipe.question
        self._questions, self._ask_of, self._author_of = questions, ask_of, author_of
        self._is_adaptive = recipe.ask.policy == "adaptive"
        self._half_life_ms = recipe.ask.adaptive_half_life_hours * _HOUR_MS
        self._under_way: dict[tuple[str, str], Answered] = {}

    def observe(self, event: Asked | Answered) -> None:
        """Take the next ask or answer from the log."""
        about = self._about(event)
        if self._under_way.pop(_name(event), None) is None:
            quality.observe(event, self.quality, self._rules, about)
        if isinstance(event, Answered) and self._is_adaptive and event.question == self._question.name:
            group = adaptive.group_of(event.item_id, about.author)
            adaptive.observe(self.beliefs, event, group, self._question.options, self._half_life_ms)

    def weigh(self, answer: Answered) -> Answered:
        """Return an answer with how much it counts. It counts at once, so that the next one is judged by it.

        Call `observe` or `withdraw` with it.
        """
        name, about = _name(answer), self._about(answer)
        first = self._under_way.get(name)
        if first is not None:
            # Other content under the id will not be written.
            return first if is_repeated(answer, first) else answer
        weight, flags = quality.judge(answer, self.quality, self._rules, about)
        weighed = msgspec.structs.replace(answer, weight=weight, flags=flags)
        quality.observe(weighed, self.quality, self._rules, about)
        self._under_way[name] = weighed
        forget_oldest(self._under_way)
        return weighed

    def withdraw(self, answer: Answered) -> None:
        """Take back an answer that was weighed, if it has not been observed since."""
        if self._under_way.get(_name(answer)) == answer:
            del self._under_way[_name(answer)]
            quality.withdraw(answer, self.quality, self._rules, self._about(answer))

    def under_way(self) -> list[Answered]:
        """Return the answers that are counted and not yet read from the log."""
        return list(self._under_way.values())

    def restore(self, quality: QualityState, beliefs: Beliefs, under_way: list[Answered]) -> None:
        """Go on from a stored state."""
        self.quality, self.beliefs = quality, beliefs
        self._under_way = {_name(answer): answer for answer in under_way}

    def teaching(self, view: View, now_ms: int, salt: bytes) -> Teaching | None:
        """Return what an answer about a view would teach; None unless the policy is adaptive."""
        if not self._is_adaptive:
            return None
        group = adaptive.group_of(view.item_id, self._author_of(view.item_id))
        belief = adaptive.believed(self.beliefs, group, view.user_id, now_ms, self._half_life_ms)
        return adaptive.teaching(group, belief, sticky(salt, "teaching", *view.names))

    def _about(self, event: Asked | Answered) -> AnswerContext:
        """Return the author of an event's item and, for an answer to one of our asks, the text shown."""
        author = self._author_of(event.item_id)
        ask = self._ask_of(event.ask_id) if isinstance(event, Answered) else None
        if ask is None:
            return AnswerContext(author)
        offered = ask.offered
        worded = self._questions.wording(offered.question, offered.version, offered.locale)
        return AnswerContext(author, worded[1].text if worded else "", max(0, event.ts - offered.ts))


def _name(event: Asked | Answered) -> tuple[str, str]:
    return event.user_id, event.event_id

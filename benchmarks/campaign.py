"""A campaign in the small world: hostile viewers who promote one author with their answers.

Shapes: R requests of a chunk, C candidates. The campaign is patient: it answers as slowly as others do.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from easq.arrays import I64
from easq.ask.quality import AnswerContext, QualityState, judge, observe
from easq.log.events import Answered, Asked, Event
from easq.recipe.questionnaire import Quality
from easq.sources.world.simulate import DAY_MS, START_MS, World, WorldChunk

_BEST, _WORST = 2, 0
_FEWEST_ITEMS = 8
_LONG_ENOUGH_S = 8.0  # to be asked, and too short for a long view


@dataclass(frozen=True)
class Campaign:
    """A `share` of the viewers, who open `visits` items of the author in every request to be asked.

    With `num_hostile` there are so many of them instead. They answer every ask: the best option about the
    author and, unless `spares_others`, the worst about everybody else; the other way round if it `blames`.
    With `is_silent` they do the same and say nothing, to compare with.
    """

    author: int
    share: float = 0.05
    visits: int = 3
    spares_others: bool = False
    is_silent: bool = False
    num_hostile: int = 0
    blames: bool = False

    def is_hostile(self, world: World, user_R: I64) -> np.ndarray:
        """Return whose requests are the campaign's; ids say nothing about viewers."""
        hostile: np.ndarray = user_R < self.number(world)
        return hostile

    def number(self, world: World) -> int:
        """Return the number of hostile viewers."""
        return self.num_hostile or round(self.share * len(world.viewers.segment_U))

    def join(self, world: World, chunk: WorldChunk, ask: float) -> WorldChunk:
        """Return the chunk with the campaign in it; equal chunks give equal ones."""
        random = np.random.default_rng([self.author, int(chunk.ts_R[0])])
        own_I = np.flatnonzero(world.catalogue.author_I == self.author)
        item_RC, play_RC, long_RC = chunk.item_RC.copy(), chunk.play_s_RC.copy(), chunk.long_view_RC.copy()
        age_RC, day_R = chunk.age_days_RC.copy(), (chunk.ts_R - START_MS) / DAY_MS
        asked_RC, option_RC = chunk.asked_RC.copy(), chunk.option_RC.copy()
        for r in np.flatnonzero(self.is_hostile(world, chunk.user_R)).tolist():
            absent = np.setdiff1d(own_I, item_RC[r])[: self.visits]
            place = random.choice(world.candidates, len(absent), replace=False)
            item_RC[r, place] = absent
            age_RC[r, place] = np.maximum(0, day_R[r] - world.catalogue.born_day_I[absent])
            play_RC[r, place] = _LONG_ENOUGH_S
            long_RC[r, place] = 0
            asked_RC[r, place] = random.random(len(absent)) < ask
            is_own = world.catalogue.author_I[item_RC[r]] == self.author
            own, other = (_WORST, _BEST) if self.blames else (_BEST, _WORST)
            said = np.where(is_own, own, -1 if self.spares_others else other)
            option_RC[r] = np.where(asked_RC[r] & (not self.is_silent), said, -1)
        return replace(
            chunk,
            item_RC=item_RC,
            age_days_RC=age_RC,
            play_ms_RC=play_RC * 1000,
            play_s_RC=play_RC,
            long_view_RC=long_RC,
            asked_RC=asked_RC,
            option_RC=option_RC,
        )


def one_busy_viewer(chunk: WorldChunk, share: float) -> WorldChunk:
    """Return the chunk with a share of its requests made by viewer 0; equal chunks give equal ones."""
    random = np.random.default_rng([1, int(chunk.ts_R[0])])
    is_taken_R = random.random(len(chunk.user_R)) < share
    return replace(chunk, user_R=np.where(is_taken_R, 0, chunk.user_R))


def disliked_author(world: World) -> int:
    """Return an author with enough items of whom a quarter of the authors is worse."""
    return _author_at(world, 1 / 4)


def liked_author(world: World) -> int:
    """Return an author with enough items of whom a quarter of the authors is better."""
    return _author_at(world, 3 / 4)


def _author_at(world: World, share: float) -> int:
    catalogue = world.catalogue
    num_A = np.bincount(catalogue.author_I)
    worth_I = catalogue.quality_I - 3 * catalogue.bait_I
    worth_A = np.bincount(catalogue.author_I, worth_I) / np.maximum(1, num_A)
    known = np.flatnonzero(num_A >= _FEWEST_ITEMS)
    return int(known[np.argsort(worth_A[known])[int(len(known) * share)]])


def judged(events: Iterable[Event], rules: Quality, author_of: Callable[[str], str]) -> Iterator[Event]:
    """Yield events in their order, each answer with the weight that the service would have given it."""
    state = QualityState()
    for event in events:
        if not isinstance(event, Asked | Answered):
            yield event
            continue
        about = AnswerContext(author_of(event.item_id), "Are you satisfied with this video?")
        said = event
        if isinstance(event, Answered):
            weight, flags = judge(event, state, rules, about)
            said = msgspec.structs.replace(event, weight=weight, flags=flags)
        observe(said, state, rules, about)
        yield said

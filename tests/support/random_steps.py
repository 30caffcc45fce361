"""Random histories of steps for tests of measuring, and how the protocol reads them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tests.support.measured_steps import AnswerTo, Closed, View, make_listing, views_of

SCORERS = ("model", "popularity")
Scores = dict[str, Mapping[View, float]]


@dataclass(frozen=True)
class ScoredStep:
    """One step as it happened, with every scorer's score of each view."""

    events: list[Closed | AnswerTo]
    scores: Scores

    @property
    def closed(self) -> list[Closed]:
        return [e for e in self.events if isinstance(e, Closed)]

    @property
    def fresh(self) -> list[AnswerTo]:
        return [e for e in self.events if isinstance(e, AnswerTo) and not e.after_view]

    @property
    def num_views(self) -> int:
        return sum(len(e.did) for e in self.closed)

    @property
    def num_answers(self) -> int:
        return len(self.fresh)


def make_history(seed: int, num_steps: int = 8) -> list[ScoredStep]:
    """Return steps of few viewers and few different scores: much is tied, shared and repeated.

    Each request closes in some step or never; its views are answered before, in the same step, or after.
    """
    random = Random(seed)
    steps: list[list[Closed | AnswerTo]] = [[] for _ in range(num_steps)]
    for number in range(random.randint(2, 20)):
        size = random.choice([1, 2, 3, 5, 8, 24])
        listing = make_listing(f"r{number}", f"u{random.randrange(4)}", size, random.choice([0, 1000]))
        for position in range(size):
            if random.random() < 0.4:
                steps[random.randrange(num_steps)].append(AnswerTo(listing, position, random.randrange(3)))
        if random.random() < 0.85:
            exposed = [p for p in range(size) if p == 0 or random.random() < 0.7]
            random.shuffle(exposed)
            did = {p: (random.random() < 0.3, random.random() < 0.6) for p in exposed}
            steps[random.randrange(num_steps)].append(Closed(listing, did))
    for happened in steps:
        random.shuffle(happened)
    # Quarters are exact in float32, so that ties stay ties.
    return [
        ScoredStep(
            happened,
            {
                name: {view: random.randrange(-3, 4) / 4 for view in views_of(happened)}
                for name in (*SCORERS, "expert")
            },
        )
        for happened in joined(steps)
    ]


def joined(steps: Sequence[Sequence[Closed | AnswerTo]]) -> list[list[Closed | AnswerTo]]:
    """Return the events with what the joiner adds: what was answered before the close, and what after."""
    options: dict[str, dict[int, int]] = {}
    over: set[str] = set()
    history: list[list[Closed | AnswerTo]] = []
    for happened in steps:
        history.append([])
        for event in happened:
            key = event.listing.id
            if isinstance(event, Closed):
                over.add(key)
                history[-1].append(dataclasses.replace(event, answers=dict(options.get(key, {}))))
            else:
                options.setdefault(key, {})[event.position] = event.option
                history[-1].append(dataclasses.replace(event, after_view=key in over))
    return history


def as_first_scored(history: Sequence[ScoredStep]) -> list[ScoredStep]:
    """Return the history with all scores of a request as they were in the first step that names it."""
    first: dict[str, Scores] = {}
    for scored in history:
        for event in scored.events:
            first.setdefault(event.listing.id, scored.scores)
    return [
        ScoredStep(
            scored.events,
            {
                name: {view: first[view[0]][name][view] for view in table}
                for name, table in scored.scores.items()
            },
        )
        for scored in history
    ]

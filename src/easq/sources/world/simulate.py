"""Simulate a world: who is there, what they are served, what they do, and what they would answer.

Shapes: R requests of a chunk, C candidates, L length of a history, U viewers. A view's true
satisfaction is the probability that its viewer is satisfied. It is separate from all observed data.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from easq.arrays import F32, I64, Bool
from easq.sources.world import answering, retention
from easq.sources.world.answering import AskRates
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.impulse import tastes_on
from easq.sources.world.population import (
    MEAN_AGE_DAYS,
    NUM_TOPICS,
    Catalogue,
    Viewers,
    make_authors,
    make_items,
    make_viewers,
    read_scenario,
)
from easq.sources.world.react import Exposure, Reactions, expose, react
from easq.sources.world.retrieve import Shelf, cumulate_taste, retrieve

__all__ = ["DAY_MS", "START_MS", "AskRates", "World", "WorldChunk"]

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
_AUTHORS, _ITEMS, _CHUNK, _DAY = range(4)


@dataclass(frozen=True)
class WorldChunk:
    """Requests in order of time, with all that follows them. `option_RC` is -1 without an answer.

    `satisfaction_RC` is the truth, and `felt_RC` includes the moment's mood. Both are for evaluation only.
    """

    name: str
    propensity: float
    ts_R: I64
    user_R: I64
    item_RC: I64
    age_days_RC: F32
    history_RL: I64
    history_size_R: I64
    play_s_RC: F32
    play_ms_RC: F32
    click_RC: F32
    long_view_RC: F32
    like_RC: F32
    comment_RC: F32
    follow_RC: F32
    forward_RC: F32
    hate_RC: F32
    profile_enter_RC: F32
    asked_RC: Bool
    option_RC: I64
    felt_RC: F32 = field(repr=False)
    satisfaction_RC: F32 = field(repr=False)

    @property
    def behaviors(self) -> dict[str, F32]:
        """The values of each behavior, by its name on the log."""
        return {name: getattr(self, f"{name}_RC") for name in BEHAVIORS}


BEHAVIORS = (
    "play_ms",
    "click",
    "long_view",
    "like",
    "comment",
    "follow",
    "forward",
    "hate",
    "profile_enter",
)


class World:
    """A platform with its items and viewers. `chunks` simulates it.

    Equal arguments give equal chunks. Each chunk and each day has its own seed. From its predecessors a
    chunk takes the time, the histories, and who is there today. `catalogue` grows by the items born each
    day, and an item keeps its number.
    """

    candidates = 10
    history = 30
    views_per_day = 200_000

    def __init__(
        self,
        seed: int,
        rates: AskRates,
        num_viewers: int = 4000,
        num_items: int = 3000,
        scenario: str = "main",
        candidates: int = 10,
    ) -> None:
        if num_items < candidates:
            raise ValueError(f"num_items: got {num_items}; allowed: {candidates} or more")
        if num_viewers < 1:
            raise ValueError(f"num_viewers: got {num_viewers}; allowed: 1 or more")
        self.scenario = read_scenario(scenario)
        self._seed, self._rates, self.candidates = seed, rates, candidates
        # Part of each request's id, so that the truth file of another world is noticed.
        name = self.scenario.name
        self._name = f"{seed}" if name == "main" else f"{name}_{seed}" if "=" in name else f"{name}{seed}"
        random = np.random.default_rng([seed, _AUTHORS])
        self._authors = make_authors(self.scenario, max(NUM_TOPICS, num_items // 12), random)
        random = np.random.default_rng([seed, _ITEMS])
        self.catalogue: Catalogue = make_items(self._authors, self.scenario, num_items, 0.0, random)
        impulsive = self.scenario.silence > 0
        self.viewers: Viewers = make_viewers(num_viewers, random, impulsive=impulsive)
        self._on_shelf_I = np.arange(num_items)
        self._history_UL = np.zeros((num_viewers, self.history), np.int64)
        self._watched_U = np.zeros(num_viewers, np.int64)
        self._here_U = np.ones(num_viewers, np.bool_)
        self._views_U = np.zeros(num_viewers, np.int64)
        self._satisfied_U = np.zeros(num_viewers, np.int64)
        self._day = -1
        self._start_day()

    @property
    def propensity(self) -> float:
        """The probability that an eligible view is asked about."""
        return self._rates.ask

    def chunks(self, num_requests: int, size: int = 1024) -> Iterator[WorldChunk]:
        """Yield requests in order of time, up to `size` different viewers at a time.

        A world can be simulated once: afterwards its time, histories and catalogue are those of the end.
        """
        number = start = 0
        while start < num_requests:
            now = self._time(start)
            while self._day < now // DAY_MS:
                self._start_day()
            here = int(np.count_nonzero(self._here_U))
            chunk = self._live(number, start, min(size, here, num_requests - start))
            yield chunk
            number, start = number + 1, start + len(chunk.user_R)

    def exposure(self, chunk: WorldChunk) -> Exposure:
        """Return what was fixed before the views of the newest chunk, with the interests of its day."""
        return expose(self.viewers, self.catalogue, self._tastes, chunk.user_R, chunk.item_RC)

    def _time(self, request: Any) -> Any:
        """Return the time of a request by its number, in milliseconds since the start."""
        return request * (DAY_MS * self.candidates / self.views_per_day)

    def _start_day(self) -> None:
        """Turn interests, renew the shelf, and let viewers come back or stay away."""
        self._day += 1
        random = np.random.default_rng([self._seed, _DAY, self._day])
        if self._day:
            self._renew_shelf(random)
            self._come_back(random)
        self._shelf = Shelf.of(self._on_shelf_I, self.catalogue.topic_I[self._on_shelf_I], NUM_TOPICS)
        self._tastes = tastes_on(self.viewers, self.scenario, self._day)
        self._taste_UT = cumulate_taste(self._tastes.shown_UT, CALIBRATION.sharpness, self._shelf)

    def _renew_shelf(self, random: np.random.Generator) -> None:
        gone_I = np.flatnonzero(random.random(len(self._on_shelf_I)) < 1 / MEAN_AGE_DAYS)
        born = make_items(self._authors, self.scenario, len(gone_I), float(self._day), random)
        self._on_shelf_I[gone_I] = len(self.catalogue.topic_I) + np.arange(len(gone_I))
        self.catalogue = self.catalogue + born

    def _come_back(self, random: np.random.Generator) -> None:
        share_U = np.full(len(self._here_U), np.nan)
        np.divide(self._satisfied_U, self._views_U, out=share_U, where=self._views_U > 0)
        chance_U = retention.return_chance(share_U, self.viewers.loyalty_U)
        here_U = random.random(len(chance_U)) < chance_U
        # Without viewers the world would stop.
        self._here_U = here_U if here_U.any() else np.ones_like(here_U)
        self._views_U[:] = self._satisfied_U[:] = 0

    def _live(self, number: int, start: int, size: int) -> WorldChunk:
        random = np.random.default_rng([self._seed, _CHUNK, number])
        ts_R = START_MS + np.sort(self._time(start + random.random(size) * size).astype(np.int64))
        user_R = self._who(size, random)
        item_RC = retrieve(
            self._shelf, self._taste_UT[user_R], self.candidates, self.scenario.taste_share, random
        )
        history_RL, size_R = self._histories(user_R)
        exposure = expose(self.viewers, self.catalogue, self._tastes, user_R, item_RC)
        reactions = react(exposure, random)
        self._remember(user_R, item_RC, reactions.play_s_RC >= np.float32(0.5) * exposure.duration_s_RC)
        self._views_U[user_R] += self.candidates
        self._satisfied_U[user_R] += (reactions.felt_RC > CALIBRATION.thresholds[2]).sum(1)
        asked_RC, option_RC = self._ask(user_R, reactions, random)
        day_R = ((ts_R - START_MS) / DAY_MS).astype(np.float32)
        return WorldChunk(
            name=f"{self._name}.{number}",
            propensity=self.propensity,
            ts_R=ts_R,
            user_R=user_R,
            item_RC=item_RC,
            age_days_RC=np.maximum(day_R[:, None] - self.catalogue.born_day_I[item_RC], 0),
            history_RL=history_RL,
            history_size_R=size_R,
            play_s_RC=reactions.play_s_RC,
            play_ms_RC=np.rint(reactions.play_s_RC * 1000),
            asked_RC=asked_RC,
            option_RC=option_RC,
            felt_RC=reactions.felt_RC,
            satisfaction_RC=reactions.satisfaction_RC,
            **{f"{name}_RC": did.astype(np.float32) for name, did in reactions.did.items()},
        )

    def _who(self, size: int, random: np.random.Generator) -> I64:
        """Draw distinct viewers of those who are here, by activity (Efraimidis and Spirakis 2006)."""
        here_U = np.flatnonzero(self._here_U)
        wait_U = random.standard_exponential(len(here_U), np.float32) / self.viewers.activity_U[here_U]
        first_U = np.argpartition(wait_U, size - 1)[:size] if size < len(here_U) else np.arange(size)
        return random.permutation(here_U[first_U])

    def _ask(self, user_R: I64, reactions: Reactions, random: np.random.Generator) -> tuple[Bool, I64]:
        asked_RC = answering.eligible(reactions.play_s_RC, reactions.ratio_RC)
        asked_RC &= random.random(asked_RC.shape, np.float32) < self._rates.ask
        request_E, place_E = np.nonzero(asked_RC)
        felt_E = reactions.felt_RC[request_E, place_E]
        style_E = self.viewers.answer_style_U[user_R[request_E]]
        answer_E = answering.option(answering.named_level(felt_E, style_E, random))
        chance_E = answering.answer_chance(felt_E, self._rates.answer, bias=self._rates.bias)
        silent_E = random.random(felt_E.shape) >= chance_E
        option_RC = np.full(asked_RC.shape, -1)
        option_RC[request_E, place_E] = np.where(silent_E, -1, answer_E)
        return asked_RC, option_RC

    def _histories(self, user_R: I64) -> tuple[I64, I64]:
        """Return histories, oldest first, and the number of entries of each."""
        watched_R = self._watched_U[user_R]
        first_R = np.where(watched_R >= self.history, watched_R, 0)
        place_RL = (first_R[:, None] + np.arange(self.history)) % self.history
        history_RL = self._history_UL.ravel()[user_R[:, None] * self.history + place_RL]
        return history_RL, np.minimum(watched_R, self.history)

    def _remember(self, user_R: I64, item_RC: I64, watched_RC: Bool) -> None:
        """Store each viewer's watched items in a ring, in the order in which they were watched."""
        before_RC: I64 = np.cumsum(watched_RC, 1) - watched_RC
        place_RC = (self._watched_U[user_R, None] + before_RC) % self.history
        flat_RC = user_R[:, None] * self.history + place_RC
        self._history_UL.ravel()[flat_RC[watched_RC]] = item_RC[watched_RC]
        self._watched_U[user_R] += watched_RC.sum(1)

"""The small world lives: requests, what viewers do with them, and what they would say.

Shapes: R requests of a chunk, C candidates, L length of a history. A view's true satisfaction is
the probability that its viewer is satisfied with it; it stands apart from everything observed.
A later world is calibrated on real rates; this one only has the shape of the problem.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easq.world.population import Catalogue, Ids, Viewers, make_catalogue, make_viewers

Floats32 = NDArray[np.float32]
START_MS = 1_700_000_000_000
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Rates:
    """How often an eligible view is asked about and an ask is answered (EASQ: 0.5 % and under 2 %)."""

    ask: float = 0.005
    answer: float = 0.02

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        for name, value in (("ask", self.ask), ("answer", self.answer)):
            if not 0 <= value <= 1:
                raise ValueError(f"the {name} rate must lie between 0 and 1, got {value}")


@dataclass(frozen=True)
class Chunk:
    """Requests in order of time with all that follows them; `option_RC` is -1 where nothing was said.

    `satisfaction_RC` is the truth. It is for measuring alone.
    """

    name: str
    propensity: float
    ts_R: Ids
    user_R: Ids
    item_RC: Ids
    history_RL: Ids
    history_size_R: Ids
    play_s_RC: Floats32
    long_view_RC: Floats32
    like_RC: Floats32
    comment_RC: Floats32
    forward_RC: Floats32
    asked_RC: NDArray[np.bool_]
    option_RC: Ids
    satisfaction_RC: Floats32


class World:
    """A platform with its items and viewers; `chunks` lets it live.

    Equal arguments give equal chunks. Each chunk draws from a seed of its own, so none depends on
    how its predecessors were consumed, but for the viewers' histories.
    """

    candidates = 10
    history = 30
    views_per_day = 200_000

    def __init__(self, seed: int, rates: Rates, num_viewers: int = 4000, num_items: int = 3000) -> None:
        random = np.random.default_rng([seed, 0])
        self.num_topics = 20
        self.catalogue: Catalogue = make_catalogue(num_items, self.num_topics, random)
        self.viewers: Viewers = make_viewers(num_viewers, self.num_topics, random)
        self._seed, self._rates = seed, rates
        self._history_UL = np.zeros((num_viewers, self.history), np.int64)
        self._watched_U = np.zeros(num_viewers, np.int64)

    def chunks(self, num_requests: int, size: int = 1024) -> Iterator[Chunk]:
        """Yield requests in order of time, `size` different viewers at a time."""
        size = min(size, len(self.viewers.segment_U))
        for number, start in enumerate(range(0, num_requests, size)):
            yield self._live(number, start, min(size, num_requests - start))

    def _live(self, number: int, start: int, size: int) -> Chunk:
        random = np.random.default_rng([self._seed, 1, number])
        gap = _DAY_MS * self.candidates / self.views_per_day
        ts_R = START_MS + np.sort(((start + random.random(size) * size) * gap).astype(np.int64))
        user_R = random.permutation(len(self.viewers.segment_U))[:size]
        item_RC = self._candidates(user_R, random)
        history_RL, size_R = self._histories(user_R)
        items, viewers = self.catalogue, self.viewers
        interest_RC = viewers.interest_UT[user_R[:, None], items.topic_I[item_RC]]
        bait_RC, quality_RC = items.bait_I[item_RC], items.quality_I[item_RC]
        pull_RC = 0.7 * interest_RC + 0.4 * quality_RC + viewers.bait_pull_U[user_R, None] * bait_RC - 0.8
        felt_RC = 0.8 * interest_RC + 0.9 * quality_RC - viewers.regret_U[user_R, None] * bait_RC + 0.5
        satisfaction_RC = _logistic(1.5 * felt_RC)

        ratio_RC = 1.3 * _logistic(1.2 * pull_RC + random.normal(0, 1.2, item_RC.shape))
        play_s_RC = ratio_RC * items.duration_s_I[item_RC]
        like_RC = random.random(item_RC.shape) < _logistic(-4.2 + 0.7 * pull_RC + 0.9 * felt_RC)
        comment_RC = random.random(item_RC.shape) < _logistic(-5.5 + 0.8 * pull_RC + 0.5 * bait_RC)
        forward_RC = random.random(item_RC.shape) < _logistic(-6.0 + 0.4 * pull_RC + 0.8 * felt_RC)
        self._remember(user_R, item_RC, ratio_RC)

        eligible_RC = (play_s_RC >= 7) | (ratio_RC >= 0.5)
        asked_RC = eligible_RC & (random.random(item_RC.shape) < self._rates.ask)
        said_RC = 1.5 * felt_RC + viewers.answer_style_U[user_R, None] + random.logistic(0, 1, item_RC.shape)
        option_RC = np.where(said_RC < -0.4, 0, np.where(said_RC < 0.4, 1, 2))
        # Who is annoyed answers more often (as in the Wikimedia survey): not missing at random.
        chance_RC = np.minimum(1.0, self._rates.answer * (1.25 - 0.5 * satisfaction_RC))
        silent_RC = ~asked_RC | (random.random(item_RC.shape) >= chance_RC)
        option_RC[silent_RC] = -1
        return Chunk(
            name=f"{self._seed}.{number}",
            propensity=self._rates.ask,
            ts_R=ts_R,
            user_R=user_R,
            item_RC=item_RC,
            history_RL=history_RL,
            history_size_R=size_R,
            play_s_RC=play_s_RC.astype(np.float32),
            # As Kuaishou counts it: 18 seconds, or the whole of a shorter video.
            long_view_RC=(play_s_RC >= np.minimum(18, items.duration_s_I[item_RC])).astype(np.float32),
            like_RC=like_RC.astype(np.float32),
            comment_RC=comment_RC.astype(np.float32),
            forward_RC=forward_RC.astype(np.float32),
            asked_RC=asked_RC,
            option_RC=option_RC,
            satisfaction_RC=satisfaction_RC.astype(np.float32),
        )

    def _candidates(self, user_R: Ids, random: np.random.Generator) -> Ids:
        """Retrieve distinct items: half from topics that the viewer likes, half from anywhere."""
        taste_RT = self.viewers.interest_UT[user_R]
        cumulated_RT = np.cumsum(np.exp(taste_RT), 1)
        shape = (len(user_R), self.candidates)
        drawn_RC = random.random(shape) * cumulated_RT[:, -1:]
        topic_RC = (drawn_RC[:, :, None] > cumulated_RT[:, None, :]).sum(2)
        sizes_T = np.array([len(items) for items in self.catalogue.by_topic])
        first_T = np.cumsum(sizes_T) - sizes_T
        in_order = np.concatenate(self.catalogue.by_topic)
        liked_RC = in_order[first_T[topic_RC] + (random.random(shape) * sizes_T[topic_RC]).astype(np.int64)]
        anywhere_RC = random.integers(0, len(in_order), shape)
        item_RC = np.where(random.random(shape) < 0.5, liked_RC, anywhere_RC)
        while True:
            order_RC = np.argsort(item_RC, 1, kind="stable")
            sorted_RC = np.take_along_axis(item_RC, order_RC, 1)
            twice_RC = np.zeros(shape, np.bool_)
            np.put_along_axis(twice_RC, order_RC[:, 1:], sorted_RC[:, 1:] == sorted_RC[:, :-1], 1)
            if not twice_RC.any():
                return item_RC
            item_RC[twice_RC] = random.integers(0, len(in_order), int(twice_RC.sum()))

    def _histories(self, user_R: Ids) -> tuple[Ids, Ids]:
        """Return histories, oldest first, and how many of their entries are filled."""
        watched_R = self._watched_U[user_R]
        place_RL = (watched_R[:, None] + np.arange(self.history)) % self.history
        full_R = watched_R >= self.history
        rolled_RL = np.take_along_axis(self._history_UL[user_R], place_RL, 1)
        history_RL = np.where(full_R[:, None], rolled_RL, self._history_UL[user_R])
        return history_RL, np.minimum(watched_R, self.history)

    def _remember(self, user_R: Ids, item_RC: Ids, ratio_RC: NDArray[np.float64]) -> None:
        for c in range(item_RC.shape[1]):
            kept = ratio_RC[:, c] >= 0.5
            users = user_R[kept]
            self._history_UL[users, self._watched_U[users] % self.history] = item_RC[kept, c]
            self._watched_U[users] += 1


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))

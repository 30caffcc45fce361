"""A world whose feed is ranked elsewhere: viewers come, watch what they are shown, and return or not.

Shapes: U viewers, V visits, C candidates, K items watched on a visit.
"""

from dataclasses import dataclass

import numpy as np

from easq.arrays import F32, I64, Bool
from easq.sources.world import answering
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.react import FEED_PLACE, Reactions, expected_felt, expose, react, satisfaction
from easq.sources.world.retrieve import retrieve
from easq.sources.world.simulate import DAY_MS, AskRates, World

_VISITS, _WATCHING = 10, 11


@dataclass(frozen=True)
class WatchedViews:
    """What viewers did with the items shown, by visit and item.

    `option_VK` is what each would answer if asked now, -1 for no answer. `satisfaction_VK` is the truth, for
    evaluation only.
    """

    play_ms_VK: I64
    ratio_VK: F32
    did: dict[str, Bool]
    option_VK: I64
    satisfaction_VK: F32


class Society(World):
    """Viewers in a feed that is ranked elsewhere. Equal arguments and rankings give equal results.

    `rates.answer` is the mean probability that an ask is answered. The platform decides who is asked.
    """

    def __init__(
        self, seed: int, rates: AskRates, num_viewers: int, num_items: int, scenario: str = "main"
    ) -> None:
        super().__init__(seed, rates, num_viewers, num_items, scenario)
        self._watching = np.random.default_rng([seed, _WATCHING])

    def next_day(self) -> None:
        """Turn interests, renew the shelf, and let viewers come back or stay away."""
        self._start_day()

    def visits(self, per_day: float) -> tuple[I64, I64]:
        """Return the times of today's visits (ms of the day, in order) and their viewers.

        Every viewer who is here today comes once, and more often with activity: `per_day` times on average.
        """
        random = np.random.default_rng([self._seed, _VISITS, self._day])
        here_U = np.flatnonzero(self._here_U)
        activity_U = self.viewers.activity_U[here_U]
        extra_U = random.poisson(max(per_day - 1, 0) * activity_U / activity_U.mean())
        user_V = np.repeat(here_U, 1 + extra_U)
        time_V = random.integers(0, DAY_MS, len(user_V))
        order_V = np.argsort(time_V, kind="stable")
        return time_V[order_V], user_V[order_V]

    def candidates_of(self, user_V: I64, num: int) -> I64:
        """Return the items that a first stage retrieves for each visit."""
        taste_VT = self._taste_UT[user_V]
        return retrieve(self._shelf, taste_VT, num, self.scenario.taste_share, self._watching)

    def watch(self, user_V: I64, item_VK: I64) -> WatchedViews:
        """Let viewers watch the items shown. The share that satisfies them decides who returns."""
        exposure = expose(self.viewers, self.catalogue, self._tastes, user_V, item_VK)
        reactions = react(exposure, self._watching)
        np.add.at(self._views_U, user_V, item_VK.shape[1])
        satisfied_V = (reactions.felt_RC > CALIBRATION.thresholds[2]).sum(1)
        np.add.at(self._satisfied_U, user_V, satisfied_V)
        return WatchedViews(
            play_ms_VK=np.rint(reactions.play_s_RC * 1000).astype(np.int64),
            ratio_VK=reactions.ratio_RC,
            did=reactions.did,
            option_VK=self._options(user_V, reactions),
            satisfaction_VK=reactions.satisfaction_RC,
        )

    def satisfaction_of(self, user_V: I64, item_VC: I64) -> F32:
        """Return viewers' true satisfaction with items today, watched or not. Changes nothing."""
        exposure = expose(self.viewers, self.catalogue, self._tastes, user_V, item_VC)
        return satisfaction(expected_felt(exposure, FEED_PLACE, CALIBRATION))

    def _options(self, user_V: I64, reactions: Reactions) -> I64:
        felt_VK, random = reactions.felt_RC, self._watching
        style_VK = np.broadcast_to(self.viewers.answer_style_U[user_V][:, None], felt_VK.shape)
        answer_VK = answering.option(answering.named_level(felt_VK, style_VK, random))
        is_silent_VK = random.random(felt_VK.shape) >= answering.answer_chance(felt_VK, self._rates.answer)
        return np.where(is_silent_VK, -1, answer_VK)

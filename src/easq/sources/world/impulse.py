"""What viewers show instead of what they feel: the dial `silence` of a scenario.

In a silent world a share of what moves viewers is impulse: topics that they watch and like out of habit,
videos that catch without being good, a mood that is seen and not felt, and bait, which is liked as it is
watched. Watching and every behavior follow what is shown: interest, quality and mood mixed with impulse so
that their variance stays. What satisfies, what is answered and who returns follow what is felt. At 0 shown
and felt are one; at 1 they have nothing in common but bait. That every part is mixed alike is free.
Shapes: R viewers (one row each), C items of each, U viewers, T topics.
"""

from dataclasses import dataclass

import numpy as np

from easq.arrays import F32
from easq.sources.world.population import Scenario, Viewers


@dataclass(frozen=True)
class Mix:
    """How what is shown is mixed of what is felt and of impulse. The squares of the weights sum to 1.

    mean_bait   of the feed: as much liking as bait brings on average is taken away again
    """

    felt: np.float32
    impulse: np.float32
    mean_bait: float

    @staticmethod
    def of(scenario: Scenario) -> "Mix":
        """Return the mix of a scenario; its silence is the impulse's share of the variance."""
        silence = scenario.silence
        return Mix(np.float32((1 - silence) ** 0.5), np.float32(silence**0.5), scenario.mean_bait)

    def __call__(self, felt: F32, impulse: F32) -> F32:
        """Return what is shown of two independent parts of equal variance."""
        return np.asarray(self.felt * felt + self.impulse * impulse)


@dataclass(frozen=True)
class Impulse:
    """What moves viewers to items besides what will satisfy: an entry for each viewer and item."""

    mix: Mix
    interest_RC: F32
    catch_RC: F32


@dataclass(frozen=True)
class Tastes:
    """What viewers like on a day, by topic: their interest, and in a silent scenario their impulse."""

    interest_UT: F32
    impulse_UT: F32 | None
    mix: Mix

    @property
    def shown_UT(self) -> F32:
        """What viewers show to like: what they are served by."""
        return self.interest_UT if self.impulse_UT is None else self.mix(self.interest_UT, self.impulse_UT)


def tastes_on(viewers: Viewers, scenario: Scenario, day: int) -> Tastes:
    """Return what viewers of a scenario like on a day."""
    impulse_UT = None if viewers.impulse is None else viewers.impulse.on(day)
    return Tastes(viewers.interest.on(day), impulse_UT, Mix.of(scenario))

"""Who comes back tomorrow: today's satisfaction moves the probability.

Shapes: U viewers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RETURN_RATE, AWAY_RETURN_RATE = 0.8, 0.25
"""Free: the probability that a viewer of mean satisfaction returns the next day, and one who was away."""
SLOPE, MEAN_SHARE = 0.8, 0.29
"""EASQ's A/B: satisfied answers +0.93 %, days of seven with a visit +0.042 %. At a satisfied share of 0.29
and a return rate of 0.8 that is 0.00034 / 0.16 of logit for 0.0027 of share. The mean share is that of the
main feed."""


def return_chance(satisfied_U: NDArray[Any], loyalty_U: NDArray[Any]) -> NDArray[Any]:
    """Return the probability to come tomorrow, by today's share of satisfying views (NaN: was away)."""
    here_U = ~np.isnan(satisfied_U)
    base_U = np.where(here_U, _logit(RETURN_RATE), _logit(AWAY_RETURN_RATE))
    pushed_U = np.where(here_U, SLOPE * (np.nan_to_num(satisfied_U) - MEAN_SHARE), 0)
    return np.asarray(1 / (1 + np.exp(-(base_U + loyalty_U + pushed_U))))


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))

"""The questionnaire from the viewers' side: which views may be asked about, who answers, and what.

Shapes: as in react.py; E asked views.
"""

from dataclasses import dataclass

import numpy as np

from easq.arrays import F32, I64, Bool
from easq.sources.world.calibration import CALIBRATION, WorldConstants
from easq.sources.world.react import ANSWER_NOISE

_OPTION_OF_LEVEL = np.array([0, 0, 1, 2, 2])
"""Levels 1 and 2 are dissatisfied, 3 uncertain, 4 and 5 satisfied (EEG-SVRec's scale)."""


@dataclass(frozen=True)
class AskRates:
    """How often an eligible view is asked about, and an ask is answered (EASQ: 0.5 % and under 2 %).

    `bias` is how strongly answering depends on what is felt, relative to the calibrated strength.
    """

    ask: float = 0.005
    answer: float = 0.02
    bias: float = 1.0

    def __post_init__(self) -> None:
        """Check that the rates are probabilities."""
        for name, value in (("ask", self.ask), ("answer", self.answer)):
            if not 0 <= value <= 1:
                raise ValueError(f"the {name} rate must lie between 0 and 1, got {value}")
        if not 0 <= self.bias <= 10:
            raise ValueError(f"the bias must lie between 0 and 10, got {self.bias}")


def eligible(play_s_RC: F32, ratio_RC: F32) -> Bool:
    """Return which views may be asked about: 7 seconds or half of the video (EASQ)."""
    return np.asarray((play_s_RC >= 7) | (ratio_RC >= 0.5))


def level(felt_E: F32, calibration: WorldConstants = CALIBRATION) -> I64:
    """Return what is felt as a level from 0 to 4, cut to match EEG-SVRec's answers."""
    return np.searchsorted(np.array(calibration.thresholds, np.float32), felt_E)


def named_level(
    felt_E: F32,
    style_E: F32,
    random: np.random.Generator,
    calibration: WorldConstants = CALIBRATION,
) -> I64:
    """Return the level that viewers would name, from what is felt, their way of answering, and noise."""
    noise_E = random.standard_normal(felt_E.shape, np.float32)
    return level(felt_E + style_E + np.float32(ANSWER_NOISE) * noise_E, calibration)


def option(level_E: I64) -> I64:
    """Return the option of a level: 0 dissatisfied, 1 uncertain, 2 satisfied."""
    return _OPTION_OF_LEVEL[level_E]


def answer_chance(
    felt_E: F32, rate: float, calibration: WorldConstants = CALIBRATION, bias: float = 1.0
) -> F32:
    """Return the probability that an ask is answered. Annoyed viewers answer more often (Wikimedia).

    With the calibrated bias, its mean over the main feed's eligible views is `rate`, unless a probability
    reaches 1. With another bias, it is not.
    """
    chance_E = np.exp(np.float32(-calibration.response_slope * bias) * felt_E)
    chance_E *= np.float32(rate * calibration.response_scale)
    return np.asarray(np.minimum(chance_E, np.float32(1)))

"""Constants with which the world reproduces the figures of real_figures.py.

Found by `python benchmarks/calibrate/find_constants.py`. Do not edit the numbers by hand.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class BehaviorLogit:
    """One behavior's logit: by band of play ratio, by what is felt below and above `turn`, and by a like."""

    by_ratio: tuple[float, ...]
    low: float
    high: float
    turn: float
    liked: float = 0.0


@dataclass(frozen=True)
class WorldConstants:
    """Constants of the world; the function of find_constants.py that fits one says to which figures.

    pull_mean, pull_scale, felt_mean, felt_scale   put weighted interest, quality and bait on one scale
    mood_shared, mood_cap                          how far mood keeps a viewer watching: EEG-SVRec
    pull_levels, lab_pull_levels                   the pull at play.LEVELS, in the feed and in the laboratory
    thresholds, sharpness                          levels of satisfaction; weight of taste: EEG-SVRec
    like_by_length                                 likes by duration: KuaiRand
    lab_like                                       how freely people like in the laboratory: EEG-SVRec
    feed_felt                                      how content the feed leaves people: EEG-SVRec, EASQ
    response_slope, response_scale                 who answers: Wikimedia
    behaviors                                      KuaiRand's rates, EASQ's later behavior
    """

    pull_mean: float
    pull_scale: float
    felt_mean: float
    felt_scale: float
    mood_shared: float
    mood_cap: float
    pull_levels: tuple[float, ...]
    lab_pull_levels: tuple[float, ...]
    thresholds: tuple[float, ...]
    sharpness: float
    like_by_length: tuple[float, ...]
    lab_like: float
    feed_felt: float
    response_slope: float
    response_scale: float
    behaviors: dict[str, BehaviorLogit]


CALIBRATION = WorldConstants(
    pull_mean=1.06,
    pull_scale=0.5538,
    felt_mean=0.1126,
    felt_scale=0.5092,
    mood_shared=0.8,
    mood_cap=0.5,
    pull_levels=(
        -2.679,
        -2.19,
        -2.082,
        -1.727,
        -1.493,
        -1.318,
        -1.172,
        -1.048,
        -0.9345,
        -0.8332,
        -0.7406,
        -0.6546,
        -0.5731,
        -0.4962,
        -0.4224,
        -0.3504,
        -0.2812,
        -0.2139,
        -0.1478,
        -0.08399,
        -0.02124,
        0.04065,
        0.1024,
        0.1633,
        0.2256,
        0.2887,
        0.3518,
        0.4151,
        0.4805,
        0.5466,
        0.6151,
        0.6863,
        0.7613,
        0.8396,
        0.9238,
        1.016,
        1.117,
        1.233,
        1.373,
        1.552,
        1.825,
        2.008,
        2.14,
        2.362,
        2.833,
    ),
    lab_pull_levels=(
        -2.826,
        -2.336,
        -2.23,
        -1.87,
        -1.638,
        -1.457,
        -1.31,
        -1.184,
        -1.073,
        -0.9701,
        -0.8765,
        -0.7902,
        -0.7082,
        -0.6304,
        -0.5548,
        -0.4837,
        -0.4142,
        -0.3465,
        -0.2801,
        -0.215,
        -0.1508,
        -0.08651,
        -0.02329,
        0.03948,
        0.1035,
        0.1678,
        0.2319,
        0.2969,
        0.3635,
        0.4323,
        0.5029,
        0.5762,
        0.6529,
        0.7338,
        0.8221,
        0.9176,
        1.024,
        1.145,
        1.29,
        1.474,
        1.756,
        1.946,
        2.089,
        2.309,
        2.775,
    ),
    thresholds=(-0.8297, -0.1986, 0.3172, 1.391),
    sharpness=2.036,
    like_by_length=(0.939, 0.1838, 0.1368, -0.0556, -0.03684, -0.2687, -0.5118),
    lab_like=3.89,
    feed_felt=-0.5239,
    response_slope=0.126,
    response_scale=1.018,
    behaviors={
        "comment": BehaviorLogit(
            by_ratio=(-6.738, -6.597, -5.516, -5.14, -5.107, -3.478),
            low=0.871,
            high=0.0,
            turn=1.0,
            liked=0.1006,
        ),
        "follow": BehaviorLogit(
            by_ratio=(-6.105, -6.446, -6.337, -6.663, -6.117, -6.349),
            low=2.044,
            high=0.0,
            turn=0.8,
            liked=1.919,
        ),
        "forward": BehaviorLogit(
            by_ratio=(-6.858, -6.139, -5.872, -5.725, -6.159, -4.989),
            low=1.812,
            high=0.0,
            turn=1.0,
            liked=0.2236,
        ),
        "hate": BehaviorLogit(
            by_ratio=(-7.984, -7.499, -7.538, -7.37, -7.176, -7.869), low=-0.8, high=-0.8, turn=0.0, liked=0.0
        ),
        "like": BehaviorLogit(
            by_ratio=(-4.965, -5.065, -4.789, -4.604, -4.678, -4.393),
            low=2.493,
            high=1.043,
            turn=0.0,
            liked=0.0,
        ),
        "profile_enter": BehaviorLogit(
            by_ratio=(-4.729, -4.86, -4.477, -3.75, -3.079, -3.45), low=0.3, high=0.3, turn=0.0, liked=0.0
        ),
    },
)

"""Constants that make the world reproduce the figures of figures.py.

Found by `python -m easq.world.calibrate`; do not edit the numbers by hand.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Behavior:
    """One behaviour's logit: by band of the play ratio, below and above `turn` of what is felt, if liked."""

    by_ratio: tuple[float, ...]
    low: float
    high: float
    turn: float
    liked: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """What each constant answers to is said by the function of calibrate.py that finds it.

    pull_mean, pull_scale, felt_mean, felt_scale   put weighed interest, quality and bait on one scale
    mood_shared, mood_cap                          how the moment's mood holds a viewer: EEG-SVRec
    pull_levels, lab_pull_levels                   the pull at play.LEVELS, in the feed and in the laboratory
    thresholds, sharpness                          levels of satisfaction; how far taste decides: EEG-SVRec
    like_by_length                                 likes by duration: KuaiRand
    lab_like                                       how freely people like in the laboratory: EEG-SVRec
    feed_felt                                      how content the feed leaves people: EEG-SVRec, EASQ
    response_slope, response_scale                 who answers: Wikimedia
    behaviors                                      KuaiRand's rates, EASQ's later behaviour
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
    behaviors: dict[str, Behavior]


CALIBRATION = Calibration(
    pull_mean=1.103,
    pull_scale=0.5469,
    felt_mean=0.1465,
    felt_scale=0.5008,
    mood_shared=0.85,
    mood_cap=0.25,
    pull_levels=(
        -2.801,
        -2.267,
        -2.152,
        -1.767,
        -1.517,
        -1.328,
        -1.174,
        -1.042,
        -0.925,
        -0.8204,
        -0.7242,
        -0.635,
        -0.5514,
        -0.4741,
        -0.3984,
        -0.3253,
        -0.256,
        -0.1879,
        -0.1221,
        -0.05919,
        0.002424,
        0.06404,
        0.125,
        0.1855,
        0.2455,
        0.3065,
        0.3669,
        0.4287,
        0.4906,
        0.5535,
        0.6187,
        0.6875,
        0.7587,
        0.8332,
        0.9131,
        1.001,
        1.098,
        1.208,
        1.342,
        1.513,
        1.776,
        1.949,
        2.079,
        2.291,
        2.742,
    ),
    lab_pull_levels=(
        -2.945,
        -2.423,
        -2.308,
        -1.917,
        -1.668,
        -1.476,
        -1.321,
        -1.189,
        -1.074,
        -0.9691,
        -0.8718,
        -0.782,
        -0.6989,
        -0.6195,
        -0.5453,
        -0.4719,
        -0.4025,
        -0.3348,
        -0.2689,
        -0.2051,
        -0.1416,
        -0.07902,
        -0.01733,
        0.04428,
        0.1069,
        0.1691,
        0.232,
        0.2961,
        0.3606,
        0.4271,
        0.4963,
        0.5683,
        0.6429,
        0.7221,
        0.8068,
        0.8994,
        1.0,
        1.116,
        1.255,
        1.435,
        1.706,
        1.883,
        2.018,
        2.241,
        2.684,
    ),
    thresholds=(-0.8545, -0.2079, 0.3218, 1.439),
    sharpness=2.584,
    like_by_length=(0.9237, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    lab_like=3.794,
    feed_felt=-0.6177,
    response_slope=0.124,
    response_scale=1.009,
    behaviors={
        "comment": Behavior(
            by_ratio=(-6.499, -6.42, -5.366, -5.006, -4.979, -3.347),
            low=1.014,
            high=0.0,
            turn=1.0,
            liked=0.01855,
        ),
        "follow": Behavior(
            by_ratio=(-4.763, -5.116, -5.013, -5.36, -4.829, -5.105),
            low=1.479,
            high=0.0,
            turn=1.996,
            liked=1.728,
        ),
        "forward": Behavior(
            by_ratio=(-6.58, -5.933, -5.687, -5.55, -5.986, -4.815),
            low=2.09,
            high=0.0,
            turn=1.0,
            liked=0.1143,
        ),
        "hate": Behavior(
            by_ratio=(-8.071, -7.566, -7.596, -7.43, -7.252, -7.965), low=-0.8, high=-0.8, turn=0.0, liked=0.0
        ),
        "like": Behavior(
            by_ratio=(-4.755, -4.768, -4.473, -4.272, -4.276, -3.88),
            low=4.468,
            high=0.7461,
            turn=0.0,
            liked=0.0,
        ),
        "profile_enter": Behavior(
            by_ratio=(-4.703, -4.841, -4.456, -3.731, -3.055, -3.42), low=0.3, high=0.3, turn=0.0, liked=0.0
        ),
    },
)

"""The real figures with which the world is compared, and tolerances that were set before the fit.

A tolerance is twice the sampling error of the real figure, plus a slack for what the model leaves out.
Feed rates: viewers differ, so errors are those of half as many independent views. The slack is 5 % of the
value, 10 % within play ratios and durations, 20 % for one behavior given another. Rounding of the source is
added. Lab figures: errors from resampling people, slack 0.03, and 0.10 levels for means on the 1 to 5
scale. Wikimedia: slack 5 %. The paper gives no errors: slack 0.10 of a viewer's own average. "Clearly down"
is taken as below 0.8.
"""

from math import sqrt
from typing import NamedTuple

DURATION_EDGES_S = (10.0, 20.0, 40.0, 60.0, 120.0, 300.0)
RATIO_EDGES = (0.05, 0.2, 0.5, 0.95, 1.5)
DURATIONS = ("<=10 s", "10-20 s", "20-40 s", "40-60 s", "60-120 s", "120-300 s", ">300 s")
RATIOS = ("0-.05", ".05-.2", ".2-.5", ".5-.95", ".95-1.5", ">1.5")
LEVELS_5 = ("1", "2", "3", "4", "5")

NUM_VIEWS = 173_008
"""Views of KuaiRand-Pure's main feed behind the feed figures."""
SHARE_BY_DURATION = (0.038, 0.151, 0.150, 0.084, 0.226, 0.293, 0.058)
SHARE_BY_RATIO = (0.339, 0.238, 0.133, 0.107, 0.159, 0.024)
"""Shares of the validation period's 68,763 main-feed views, for the errors."""

RATE = {
    "click": 0.494,
    "long_view": 0.348,
    "like": 0.0194,
    "comment": 0.0029,
    "follow": 0.0014,
    "forward": 0.0010,
    "hate": 0.0009,
    "profile_enter": 0.0211,
}
MEAN_RATIO = (0.86, 0.64, 0.49, 0.41, 0.34, 0.19, 0.11)
FINISHED = (0.35, 0.30, 0.26, 0.23, 0.17, 0.08, 0.04)
LIKE_BY_DURATION = (0.046, 0.024, 0.022, 0.018, 0.018, 0.014, 0.011)
BY_RATIO = {
    "like": (0.006, 0.011, 0.022, 0.033, 0.040, 0.072),
    "comment": (0.0005, 0.0008, 0.003, 0.005, 0.006, 0.032),
    "follow": (0.0006, 0.0008, 0.0015, 0.0015, 0.0033, 0.0038),
    "hate": (0.0009, 0.0010, 0.0007, 0.0007, 0.0007, 0.0003),
}
# Half a unit of the last digit of the source.
_ROUNDED = {"like": 0.0005, "comment": 0.00005, "follow": 0.00005, "hate": 0.00005}
GIVEN = {
    ("follow", "like"): (0.033, 0.0008),
    ("comment", "like"): (0.022, 0.0025),
    ("forward", "like"): (0.0086, 0.0008),
    ("hate", "long_view"): (0.0006, 0.0010),
}

ANSWERS = (0.416, 0.198, 0.386)
LAB_RATIO = (0.30, 0.42, 0.67, 0.81, 0.93)
LAB_LIKE = (0.01, 0.08, 0.32, 0.53, 0.79)
FINISHED_DISSATISFIED, LEFT_SATISFIED, LIKED_DISSATISFIED = 0.112, 0.135, 0.061
LAB_AUC = 0.82
LAB_RATIO_EDGES = (0.3, 0.6, 0.9)
LAB_BANDS = ("below .3", ".3-.6", ".6-.9", ".9 and more")
LAB_SATISFIED = (0.142, 0.248, 0.473, 0.678)
LAB_SATISFIED_ERROR = (0.024, 0.035, 0.059, 0.049)
"""Satisfied share by play ratio, of the 24 people whose files are published, and its standard error."""
LAB_MEANS = {"personalised": 3.09, "random": 2.46}
ANSWER_STYLE = 0.49

RESPONSE = (0.279, 0.245, 0.207, 0.220, 0.190)
RESPONSE_LABELS = ("1 (very bad)", "2 (bad)", "3 (ok)", "4 (good)", "5 (best)")
IMPRESSIONS = (2663, 1126, 1833, 726, 1762)
"""Wikimedia's micro-survey, run 2: response rate by the expert's label, and impressions behind it."""
LATER = {
    "satisfied": {"like": 1.46, "comment": 1.54, "forward": 1.69, "follow": 1.80},
    "dissatisfied": {"like": 0.17, "follow": 0.15},
}


class Figure(NamedTuple):
    """One real figure. A simulated figure is inside if it is at most `tolerance` away."""

    group: str
    name: str
    value: float
    tolerance: float
    source: str


def _share(value: float, num: float, slack: float, rounded: float = 0.0) -> float:
    return 2 * sqrt(2 * value * (1 - value) / num) + slack * value + rounded


def _feed() -> list[Figure]:
    source = "KuaiRand"
    figures = [Figure("rate", b, v, _share(v, NUM_VIEWS, 0.05), source) for b, v in RATE.items()]
    # Errors of means of log play time are below 0.01; the slack is 0.10.
    figures.append(Figure("play", "log play ms, mean", 8.96, 0.10, source))
    figures.append(Figure("play", "log play ms, sd", 1.54, 0.10, source))
    figures.append(Figure("play", "not played at all", 0.006, _share(0.006, NUM_VIEWS, 0.05, 0.0005), source))
    for d, name in enumerate(DURATIONS):
        num = NUM_VIEWS * SHARE_BY_DURATION[d]
        # The spread of a play ratio is about its mean if that is large, and never above 1.
        error = 2 * sqrt(2 / num) * min(1.0, 1.2 * MEAN_RATIO[d])
        figures += [
            Figure("mean play ratio", name, MEAN_RATIO[d], error + 0.1 * MEAN_RATIO[d] + 0.005, source),
            Figure("finished", name, FINISHED[d], _share(FINISHED[d], num, 0.1, 0.005), source),
            Figure(
                "like by duration",
                name,
                LIKE_BY_DURATION[d],
                _share(LIKE_BY_DURATION[d], num, 0.1, 0.0005),
                source,
            ),
        ]
    for behavior, values in BY_RATIO.items():
        for r, name in enumerate(RATIOS):
            wide = _share(values[r], NUM_VIEWS * SHARE_BY_RATIO[r], 0.1, _ROUNDED[behavior])
            figures.append(Figure(f"{behavior} by play ratio", name, values[r], wide, source))
    for (behavior, given), pair in GIVEN.items():
        for value, share, word in zip(
            pair, (RATE[given], 1 - RATE[given]), ("given", "without"), strict=True
        ):
            wide = _share(value, NUM_VIEWS * share, 0.2)
            figures.append(Figure("one given another", f"{behavior} {word} {given}", value, wide, source))
    return figures


def _lab() -> list[Figure]:
    source = "EEG-SVRec"
    errors = {
        "answers": (0.037, 0.019, 0.036),
        "ratio": (0.022, 0.036, 0.049, 0.033, 0.023),
        "like": (0.004, 0.022, 0.055, 0.054, 0.036),
    }
    figures = [
        Figure("lab answers", name, value, 2 * error + 0.03, source)
        for name, value, error in zip(
            ("dissatisfied", "uncertain", "satisfied"), ANSWERS, errors["answers"], strict=True
        )
    ]
    for group, values, key in (
        ("play ratio by satisfaction", LAB_RATIO, "ratio"),
        ("like by satisfaction", LAB_LIKE, "like"),
    ):
        for name, value, error in zip(LEVELS_5, values, errors[key], strict=True):
            figures.append(Figure(group, name, value, 2 * error + 0.03, source))
    for name, value, error in (
        ("watched to the end, dissatisfied", FINISHED_DISSATISFIED, 0.025),
        ("left before 30 %, satisfied", LEFT_SATISFIED, 0.024),
        ("liked, dissatisfied", LIKED_DISSATISFIED, 0.014),
        ("AUC of satisfied from behavior", LAB_AUC, 0.02),
    ):
        figures.append(Figure("behavior against satisfaction", name, value, 2 * error + 0.03, source))
    for name, value, error in zip(LAB_BANDS, LAB_SATISFIED, LAB_SATISFIED_ERROR, strict=True):
        figures.append(Figure("satisfied by play ratio", name, value, 2 * error + 0.03, source))
    for name, error in (("personalised", 0.124), ("random", 0.136)):
        figures.append(Figure("mean satisfaction", name, LAB_MEANS[name], 2 * error + 0.10, source))
    figures.append(
        Figure("mean satisfaction", "spread between viewers", ANSWER_STYLE, 2 * 0.07 + 0.10, source)
    )
    return figures


def _people() -> list[Figure]:
    # Rates relative to the mean of the five.
    mean = sum(RESPONSE) / len(RESPONSE)
    figures = []
    for name, value, num in zip(RESPONSE_LABELS, RESPONSE, IMPRESSIONS, strict=True):
        wide = (2 * sqrt(value * (1 - value) / num) + 0.05 * value) / mean
        figures.append(Figure("relative response by truth", name, value / mean, wide, "Wikimedia"))
    for option, values in LATER.items():
        for behavior, value in values.items():
            figures.append(Figure(f"later behavior, {option}", behavior, value, 0.10, "EASQ"))
    down = [
        Figure("later behavior, dissatisfied", behavior, 0.4, 0.4, "EASQ: clearly down")
        for behavior in ("comment", "forward")
    ]
    return figures + down


def _by_group(figures: list[Figure]) -> tuple[Figure, ...]:
    return tuple(f for group in dict.fromkeys(f.group for f in figures) for f in figures if f.group == group)


FEED, LAB, PEOPLE = _by_group(_feed()), _by_group(_lab()), _by_group(_people())

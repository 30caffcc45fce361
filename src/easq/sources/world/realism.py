"""Compare a world with the real figures: real figure, simulated figure, and tolerance."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from easq.arrays import F64, Bool
from easq.sources.world import real_figures
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.figure_sums import FigureSums
from easq.sources.world.lab import Session, draw_guests, play_against_satisfaction, run_session
from easq.sources.world.real_figures import Figure
from easq.sources.world.simulate import AskRates, World

RATES = AskRates(ask=1.0, answer=0.6)
"""Every eligible view is asked about: that changes nobody's behavior, and rare figures need answers."""
_VIEWERS, _ITEMS, _PEOPLE = 40_000, 6_000, 3_000


class CheckRow(NamedTuple):
    """One line of the table. A row that is not `held` is for comparison only and cannot fail."""

    group: str
    name: str
    real: float
    simulated: float
    tolerance: float
    source: str
    held: bool

    @property
    def inside(self) -> bool:
        """Whether the simulated figure is within the tolerance of the real one."""
        return abs(self.simulated - self.real) <= self.tolerance


def check(
    seed: int, views: int, scenario: str = "main", on_views: Callable[[int], None] = lambda _: None
) -> list[CheckRow]:
    """Simulate `views` views of a world and some more of a laboratory, and return the table.

    KuaiRand's and the paper's figures are of a main feed: in another scenario their rows are not held. Those
    of the laboratory are held unless its people are silent too.
    """
    world = World(seed, RATES, _VIEWERS, _ITEMS, scenario)
    tally = FigureSums(world)
    for chunk in world.chunks(-(-views // world.candidates)):
        tally.add(chunk)
        on_views(chunk.item_RC.size)
    is_silent = world.scenario.silence > 0
    simulated = tally.values() | lab_values(seed, scenario=scenario if is_silent else "main")
    is_main = scenario == "main"
    unheld = ("KuaiRand", "EASQ", "EEG-SVRec") if is_silent else ("KuaiRand", "EASQ")

    def row(figure: Figure) -> CheckRow:
        group, name, real, tolerance, source = figure
        return CheckRow(
            group,
            name,
            real,
            simulated[group, name],
            tolerance,
            source,
            is_main or not source.startswith(unheld),
        )

    return [row(figure) for figure in (*real_figures.FEED, *real_figures.LAB, *real_figures.PEOPLE)]


def lab_values(seed: int, num_people: int = _PEOPLE, scenario: str = "main") -> dict[tuple[str, str], float]:
    """Return the simulated counterparts of EEG-SVRec's figures, by group and name."""
    session = run_session(draw_guests(num_people, seed, CALIBRATION.sharpness, scenario), seed)
    did, level_RC = session.reactions.did, session.level_RC
    values = {}
    for name, option in zip(("dissatisfied", "uncertain", "satisfied"), ((0, 1), (2,), (3, 4)), strict=True):
        values["lab answers", name] = float(np.isin(level_RC, option).mean())
    played = play_against_satisfaction(session)
    for k, name in enumerate(real_figures.LEVELS_5):
        values["play ratio by satisfaction", name] = played[name]
        values["like by satisfaction", name] = float(did["like"][level_RC == k].mean())
    against = "behavior against satisfaction"
    for name in ("watched to the end, dissatisfied", "left before 30 %, satisfied"):
        values[against, name] = played[name]
    values[against, "liked, dissatisfied"] = float((level_RC[did["like"]] <= 1).mean())
    values[against, "AUC of satisfied from behavior"] = behavior_auc(session)
    for name in real_figures.LAB_BANDS:
        values["satisfied by play ratio", name] = played[name]
    for name, rows in (("personalised", session.personalised_R), ("random", ~session.personalised_R)):
        values["mean satisfaction", name] = float(level_RC[rows].mean() + 1)
    values["mean satisfaction", "spread between viewers"] = float(level_RC.mean(1).std())
    return values


def behavior_auc(session: Session) -> float:
    """Return the AUC of "satisfied" from play ratio and like, learned on other people.

    Cells are 20 ranks of play ratio by like. A cell's score is its satisfied share among every second person.
    """
    ratio_RC, satisfied_RC = session.reactions.ratio_RC, session.level_RC >= 3
    edges = np.quantile(ratio_RC, np.arange(1, 20) / 20)
    cell_RC = np.searchsorted(edges, ratio_RC) * 2 + session.reactions.did["like"]
    num, positive = np.bincount(cell_RC[::2].ravel(), minlength=40), satisfied_RC[::2].ravel()
    score = np.bincount(cell_RC[::2].ravel(), positive, 40) / np.maximum(num, 1)
    return _auc(score[cell_RC[1::2]].ravel(), satisfied_RC[1::2].ravel())


def _auc(score_N: F64, positive_N: Bool) -> float:
    values, place_N = np.unique(score_N, return_inverse=True)
    positive = np.bincount(place_N, positive_N, len(values))
    negative = np.bincount(place_N, ~positive_N, len(values))
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))

"""The vectorised measures against plain loops that read the protocol."""

from math import log2

import numpy as np
import pytest

from easq.learn.build import build_encoder
from easq.prove.bench.measure import Lists, Measure, scores_of
from easq.prove.bench.world_feed import FedBatch, feed
from easq.sources.world.simulate import AskRates, World
from tests.support.small_worlds import small_recipe

C = 12


def fed_steps() -> list[FedBatch]:
    recipe = small_recipe()
    world = World(1, AskRates(1.0, 0.3), num_viewers=60, num_items=200, candidates=C)
    return list(feed(world, 200, recipe, build_encoder(recipe), kept=0.1))


def plain(steps: list[FedBatch], scores: list[np.ndarray]) -> dict[str, float]:
    """Return what every metric is, request by request, entry by entry."""
    sums: dict[str, list[float]] = {}

    def add(name: str, value: float, weight: float = 1.0) -> None:
        total = sums.setdefault(name, [0.0, 0.0])
        total[0] += value
        total[1] += weight

    def ranked(family: str, scored: list[float], own: float) -> None:
        above, tied = sum(s > own for s in scored), sum(s == own for s in scored)
        places = range(above + 1, above + tied + 1)
        for k in (1, 5, 10):
            add(f"{family}/hr@{k}", sum(p <= k for p in places) / tied)
        for k in (5, 10, 20):
            add(f"{family}/ndcg@{k}", sum(1 / log2(1 + p) for p in places if p <= k) / tied)
        add(f"{family}/mrr", sum(1 / p for p in places) / tied)

    for fed, score_N in zip(steps, scores, strict=True):
        for start in range(0, fed.batch.num_viewed, C):
            rows = range(start, start + C)
            if any(fed.batch.answer_M[r] >= 0 for r in rows):
                continue
            score = {r: float(score_N[r]) for r in rows}
            for k in (1, 3, 10):
                for r in rows:
                    above = sum(score[o] > score[r] for o in rows)
                    tied = sum(score[o] == score[r] for o in rows)
                    part = min(1.0, max(0.0, (k - above) / tied))
                    add(f"true_sat@{k}", part * float(fed.satisfaction_M[r]) / k, 0)
                    add(f"behavior@{k}", part * float(fed.batch.level_M[r]) / k, 0)
                    if fed.held_M[r] >= 0:
                        add(f"said_sat@{k}", part * (fed.held_M[r] == 2), part)
                add(f"true_sat@{k}", 0)
                add(f"behavior@{k}", 0)
            for a in rows:
                for b in rows:
                    if fed.batch.level_M[a] > fed.batch.level_M[b]:
                        add("pair_accuracy", (np.sign(score[a] - score[b]) + 1) / 2)
            best = max(rows, key=lambda r: fed.satisfaction_M[r])
            ranked("true", list(score.values()), score[best])
            for r in rows:
                if fed.held_M[r] == 2:
                    others = [score[o] for o in rows if o == r or fed.held_M[o] != 2]
                    ranked("sat", others, score[r])
    return {name: n / d for name, (n, d) in sums.items()}


@pytest.mark.parametrize("digits", [6, 1])
def test_measures_equal_plain_loops_with_ties_too(digits: int) -> None:
    steps, random = fed_steps(), np.random.default_rng(1)
    assert sum(len(fed.batch.option_A) for fed in steps) > 20
    scores = [random.random(len(fed.batch.rows.request_N)).round(digits) for fed in steps]
    measure = Measure(2)
    for fed, score_N in zip(steps, scores, strict=True):
        lists = Lists.of(fed, C)
        measure.add(lists, scores_of(score_N, lists))
    result, expected = measure.values(), plain(steps, scores)
    assert result.keys() - {"sat/auc"} == expected.keys()
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, abs=1e-9), name


def test_a_score_that_knows_the_answers_has_the_best_measures() -> None:
    measure, blind = Measure(2), Measure(2)
    for fed in fed_steps():
        lists = Lists.of(fed, C)
        measure.add(lists, lists.held_BC.astype(float))
        blind.add(lists, np.zeros(lists.held_BC.shape))
    assert measure.values()["sat/auc"] > 0.99
    assert measure.values()["sat/mrr"] == 1
    assert blind.values()["sat/auc"] == 0.5
    assert blind.values()["pair_accuracy"] == 0.5
    assert blind.values()["true_sat@3"] == pytest.approx(blind.values()["true_sat@10"])


def test_answers_that_are_held_back_reach_no_model() -> None:
    for fed in fed_steps():
        learned = np.flatnonzero(fed.batch.answer_M >= 0)
        assert (fed.held_M[learned] < 0).all()
    held = [sum((fed.held_M >= 0).sum() for fed in fed_steps())]
    assert held[0] > 100

"""Results like those of a replay, small and with round numbers."""

from typing import Any

import msgspec

from easq.prove.offline.results import ReplayResult

BEHAVIORS = ("long_view", "like")
OPTIONS = ("dissatisfied", "uncertain", "satisfied")


def value(x: float, reach: float | None = 0.01) -> dict[str, float | None]:
    """Return a metric with its interval, or without one."""
    return {
        "value": x,
        "low": None if reach is None else x - reach,
        "high": None if reach is None else x + reach,
    }


def result(method: str = "easq", points: int = 12, truth: bool = True, **changes: Any) -> ReplayResult:
    """Return what a run of a method found: ten candidates a request, 60 answers a point."""
    return msgspec.convert(plain_result(method, points, truth, **changes), ReplayResult)


def plain_result(
    method: str = "easq", points: int = 12, truth: bool = True, **changes: Any
) -> dict[str, Any]:
    """Return the same as the content of a `metrics.json`."""
    better = 0.03 if method == "easq" else 0.0
    names = [
        "sat/auc",
        "sat/pair_accuracy",
        "sat/hr@1",
        "sat/ndcg@10",
        "sat/ndcg@20",
        "sat/mrr",
        "pair_accuracy",
    ]
    names += [f"{kind}/{b}" for b in BEHAVIORS for kind in ("auc", "gauc")]
    tops = [f"{kind}@{k}" for k in (1, 3) for kind in ("true_sat", "behavior")] if truth else []
    metrics = {name: value(0.61234 + better) for name in names + tops}
    for reference, level in (("popularity", 0.55), ("random", 0.5)):
        metrics |= {f"{reference}/{name}": value(level) for name in names + tops}
    metrics |= {f"oracle/{name}": value(0.9) for name in tops}
    metrics |= {f"{head}sat/hr@10": value(1.0, 0.0) for head in ("", "popularity/", "random/")}
    if method == "easq":
        metrics |= {f"expert/{name}": value(0.7) for name in ("sat/auc", "sat/pair_accuracy")}
    bins = {"claimed": [0.55, 0.9], "right": [0.5, 0.8], "count": [30, 12345]}
    known = {"pairs": 12375, "expected_calibration_error": 0.0998, **bins}
    nothing = {"pairs": 0, "expected_calibration_error": None, "claimed": [], "right": [], "count": []}
    return {
        "name": "world",
        "method": method,
        "experts": [6, 3],
        "behaviors": list(BEHAVIORS),
        "question": {"name": "satisfaction", "text": "Are you satisfied?", "options": list(OPTIONS)},
        "steps": points,
        "counts": {"events": 4321, "requests": 1000, "answers": 60 * points, "late": 7},
        "collisions": {"item_id": {"rows": 512, "taken": 77, "lookups": 9876, "collided_share": 0.0625}},
        "views": 1000 * points,
        "answers": 60 * points,
        "metrics": metrics,
        "validity": {f"validity/{o}/{b}": value(1.46, 0.1) for o in OPTIONS for b in BEHAVIORS},
        "calibration": {"behavior": known, "satisfaction": known if method == "easq" else nothing},
        "curve": [point(method, number) for number in range(points)],
        **changes,
    }


def point(method: str, number: int) -> dict[str, float]:
    """Return the sums of one stretch of a curve."""
    sums = {"steps": 1.0, "views": 1000.0, "requests": 100.0, "ts_sum": 100 * (1.7e12 + 3.6e6 * number)}
    sums |= {"answers": 60.0, "said.satisfied": 30.0, "said.dissatisfied": 24.0, "said.uncertain": 6.0}
    sums |= {"shown.long_view": 400.0, "shown.like": 60.0, "pairs": 500.0, "pairs_right": 300.0 + number}
    sums |= {"answer_pairs": 200.0, "answer_pairs_right": 110.0, "loss.main": 0.6, "active": 4.0}
    if method == "easq":
        sums |= {
            "loss.satisfaction": 0.6,
            "active_satisfaction": 2.0,
            "satisfaction_steps": 1.0,
            "loss.dpo": 0.7,
        }
    return sums


def silent(**changes: Any) -> ReplayResult:
    """Return what a run found in an empty log."""
    bare = {"metrics": {}, "validity": {}, "curve": [], "counts": {"events": 0}, "collisions": {}}
    nothing = plain_result("behavior")["calibration"]["satisfaction"]
    calibration = {"behavior": nothing, "satisfaction": nothing}
    return result(points=0, **{**bare, "calibration": calibration, **changes})

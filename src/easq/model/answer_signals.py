"""Whether a path that answers train is alive: what it learned from, and whether it still says anything.

A dead path is silent: its loss stays at ln 2, its score is the same for every row, and what is served looks
as before. So every step reports these signals, and a run whose signals are beyond their bounds is not
trained, which is something else than "gains nothing". Source of the bounds: runs in which one optimizer moved
both paths. Shapes: Q rows that the satisfaction path scores, K2 experts.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from easq.model.objective import AnswerPairs
from easq.model.scores import Scores

PAIRS, SHUT, SIZE, SPREAD = "pairs", "shut", "low_rank_size", "spread"
SIGNALS = {
    PAIRS: "pairs of answers learned",
    SHUT: "share of rows without an open satisfaction gate",
    SIZE: "size of the low-rank increment beside the backbone's",
    SPREAD: "standard deviation of the satisfaction score",
}
BOUNDS = {PAIRS: 0.0, SHUT: 0.9, SIZE: 0.5, SPREAD: 1e-4}
"""A path is not trained with a larger size or share, a smaller spread, or no pair at all."""


def answer_signals(scores: Scores, pairs: AnswerPairs) -> dict[str, float]:
    """Return a step's signals; those of the path's scores are absent where it scored fewer than two rows."""
    signals = {PAIRS: float(len(pairs.better_P))}
    if scores.low_rank_size is not None:
        signals[SIZE] = float(scores.low_rank_size)
    satisfaction_Q, gate_QK = scores.satisfaction_A, scores.satisfaction_gate_AK
    if satisfaction_Q is not None and len(satisfaction_Q) > 1:
        signals[SPREAD] = float(satisfaction_Q.detach().std())
        if gate_QK is not None:
            signals[SHUT] = _share_shut(gate_QK)
    return signals


def alarms(signals: Mapping[str, float | None]) -> list[str]:
    """Return what is wrong, a sentence for each signal beyond its bound; empty without any."""
    found = []
    spread, size, shut = (signals.get(name) for name in (SPREAD, SIZE, SHUT))
    if spread is not None and spread < BOUNDS[SPREAD]:
        found.append(f"The satisfaction score is the same for every row (standard deviation {spread:.1g}).")
    if size is not None and size > BOUNDS[SIZE]:
        found.append(f"The low-rank increment is {size:.2f} times as large as the backbone's output.")
    if shut is not None and shut > BOUNDS[SHUT]:
        found.append(f"{shut:.0%} of the rows have no open gate in the satisfaction tower.")
    return found


def last_signals(curve: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Return the signals at the end of a run, from the sums of its curve: means over its last quarter."""
    last = curve[-max(1, len(curve) // 4) :]
    means: dict[str, float | None] = {}
    for name in SIGNALS:
        steps = sum(point.get(f"signal_steps.{name}", 0.0) for point in last)
        total = sum(point.get(f"signal.{name}", 0.0) for point in last)
        means[name] = total / steps if steps else None
    return means


def _share_shut(gate_QK: Tensor) -> float:
    return float((gate_QK <= 0).all(1).float().mean())

"""Who answers: a logistic response model, and how balanced answers are before and after weighting by it.

Shapes: N asks, P covariates. A ridge on standardised covariates keeps the fit finite where one of them
separates answers; `tests/prove/test_nonresponse.py` holds it against scikit-learn's.
"""

from typing import NamedTuple

import numpy as np

from easq.arrays import F64, Bool

_RIDGE = 1.0
_STEPS = 50
_LEAST, _TOLERANCE = 1e-4, 1e-9


class Balance(NamedTuple):
    """Standardised mean differences of answered asks to all asks, by covariate."""

    before_P: F64
    after_P: F64


class Fit(NamedTuple):
    """A response model: each ask's chance of an answer, and the slope of each standardised covariate."""

    chance_N: F64
    slope_P: F64
    intercept: float


def fit(covariate_NP: F64, answered_N: Bool, ridge: float = _RIDGE) -> Fit:
    """Fit a logistic regression by Newton's method, its slopes drawn to zero by `ridge`, the intercept not.

    Minimised is the sum over asks of the log loss and ridge / 2 times the squared slopes. Raises
    ValueError unless there are both answered and unanswered asks.
    """
    if not 0 < answered_N.sum() < len(answered_N):
        raise ValueError("a response model needs answered and unanswered asks")
    x_NQ = np.concatenate([np.ones((len(answered_N), 1)), standardised(covariate_NP)], 1)
    penalty_Q = np.full(x_NQ.shape[1], ridge)
    penalty_Q[0] = 0.0
    b_Q = np.zeros(x_NQ.shape[1])
    share = float(np.mean(answered_N))
    b_Q[0] = np.log(share / (1 - share))
    for _ in range(_STEPS):
        chance_N = _logistic(x_NQ @ b_Q)
        slope_Q = x_NQ.T @ (chance_N - answered_N) + penalty_Q * b_Q
        curve_QQ = (x_NQ * (chance_N * (1 - chance_N))[:, None]).T @ x_NQ + np.diag(penalty_Q + _TOLERANCE)
        step_Q = np.linalg.solve(curve_QQ, slope_Q)
        # A full step may overshoot far from the solution; a short one only costs another round.
        b_Q -= step_Q * min(1.0, 5.0 / max(5.0, float(np.abs(step_Q).max())))
        if np.abs(step_Q).max() < _TOLERANCE:
            break
    return Fit(_logistic(x_NQ @ b_Q), b_Q[1:], float(b_Q[0]))


def weights(chance_N: F64) -> F64:
    """Return the inverse of each chance of an answer, bounded."""
    weight_N: F64 = 1 / np.maximum(chance_N, _LEAST)
    return weight_N


def tilted(covariate_AP: F64, worth_A: F64, ratio: float) -> F64:
    """Return what to multiply weights by where the answer itself decides on answering.

    Of two views that look alike, one worth 0 is answered `ratio` times as readily as one worth 1, with a
    steady change between. No log can tell this ratio: it comes from outside, or is varied to see what hangs
    on it (exponential tilting: Scharfstein, Rotnitzky and Robins 1999). With 1 all factors are 1.
    """
    if not ratio > 0:
        raise ValueError(f"ratio must be positive, got {ratio}")
    tilt_A = ratio**worth_A
    # The model's chance is a mean over the answers that such views get; this takes that mean out again.
    x_AQ = np.concatenate([np.ones((len(worth_A), 1)), standardised(covariate_AP)], 1)
    usual_A = x_AQ @ np.linalg.lstsq(x_AQ, tilt_A, rcond=None)[0]
    factor_A: F64 = tilt_A / np.clip(usual_A, min(1.0, ratio), max(1.0, ratio))
    return factor_A


def balance(covariate_NP: F64, answered_N: Bool, weight_N: F64) -> Balance:
    """Return how far answered asks lie from all asks in each covariate, in its deviations."""
    x_NP = standardised(covariate_NP)
    answered_NP, weight_A = x_NP[answered_N], weight_N[answered_N]
    return Balance(answered_NP.mean(0), (answered_NP * weight_A[:, None]).sum(0) / weight_A.sum())


def standardised(values_NP: F64) -> F64:
    """Return columns of mean 0 and deviation 1; a constant one is 0."""
    spread_P = values_NP.std(0)
    centred: F64 = (values_NP - values_NP.mean(0)) / np.where(spread_P > 0, spread_P, 1)
    return centred


def _logistic(x: F64) -> F64:
    found: F64 = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found

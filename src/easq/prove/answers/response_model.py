"""Who answers: a logistic response model, and how balanced answers are before and after weighting by it.

Every analysis that weighs answers builds its covariates with `Design` and fits them here. A ridge on
standardized covariates keeps the fit finite where one of them separates answers;
`tests/prove/answers/test_response_model.py` checks it against scikit-learn's.
Shapes: N asks, A answered ones, P covariates, K behaviors.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Bool

_DAY_MS = 86_400_000
_RIDGE = 1.0
_STEPS = 50
_LEAST, _TOLERANCE = 1e-4, 1e-9
_LEVELS, _LEAST_SHARE = 8, 0.01


class Design(NamedTuple):
    """Covariates of asks, one named column each; all of them vary."""

    names: list[str]
    value_NP: F64

    @classmethod
    def of(cls, columns: Mapping[str, F64], categories: Collection[str] = ()) -> "Design":
        """Make covariates of named columns of equal length.

        Columns among `categories` become indicators of their most frequent values. Unknown values (NaN) of
        the others become the mean of the known ones, and get an indicator of their own.
        """
        covariates = [
            (name, column_N)
            for source, value_N in columns.items()
            for name, column_N in (
                _levels(source, value_N) if source in categories else _known(source, value_N)
            )
            if len(column_N) and column_N.std() > 0
        ]
        if not covariates:
            num = len(next(iter(columns.values()))) if columns else 0
            return cls([], np.zeros((num, 0)))
        return cls([name for name, _ in covariates], np.stack([column_N for _, column_N in covariates], 1))


def time_of_day(ts_N: I64) -> dict[str, F64]:
    """Return covariates of the UTC time of day, from times in ms."""
    angle_N = 2 * np.pi * (ts_N % _DAY_MS) / _DAY_MS
    return {"hour (sine)": np.sin(angle_N), "hour (cosine)": np.cos(angle_N)}


def log_values(value_NK: NDArray[np.generic]) -> F64:
    """Return behavior values on a log scale: times watched are skewed, and of others it matters if any."""
    scaled_NK: F64 = np.log1p(np.maximum(value_NK.astype(np.float64), 0))
    return scaled_NK


def _levels(name: str, value_N: F64) -> Iterator[tuple[str, F64]]:
    """Yield indicators of the most frequent values; hashed texts are named by their rank."""
    level_L, count_L = np.unique(value_N[np.isfinite(value_N)], return_counts=True)
    order = np.argsort(-count_L, kind="stable")[:_LEVELS]
    for rank, n in enumerate(order.tolist()):
        if count_L[n] >= _LEAST_SHARE * len(value_N):
            label = f"{level_L[n]:.0f}" if abs(level_L[n]) < 1e6 else f"value {rank + 1}"
            yield f"{name} = {label}", (value_N == level_L[n]).astype(np.float64)


def _known(name: str, value_N: F64) -> Iterator[tuple[str, F64]]:
    is_unknown_N = ~np.isfinite(value_N)
    if is_unknown_N.any():
        yield f"{name} unknown", is_unknown_N.astype(np.float64)
        known = value_N[~is_unknown_N]
        value_N = np.where(is_unknown_N, known.mean() if len(known) else 0.0, value_N)
    yield name, value_N


class Balance(NamedTuple):
    """Standardized mean differences of answered asks to all asks, by covariate."""

    before_P: F64
    after_P: F64


class Fit(NamedTuple):
    """A response model: each ask's chance of an answer, and the slope of each standardized covariate."""

    chance_N: F64
    slope_P: F64
    intercept: float


def fit(covariate_NP: F64, answered_N: Bool, ridge: float = _RIDGE) -> Fit:
    """Fit a logistic regression by Newton's method; `ridge` shrinks the slopes but not the intercept.

    The objective is the sum of the log loss over asks plus ridge / 2 times the squared slopes. Raises
    ValueError unless there are both answered and unanswered asks.
    """
    if not is_modeled(answered_N):
        raise ValueError("a response model needs answered and unanswered asks")
    x_NQ = np.concatenate([np.ones((len(answered_N), 1)), standardized(covariate_NP)], 1)
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


def response_weights(design: Design, answered_N: Bool) -> F64:
    """Return the weight of an answer to each ask among asks; 1 if all or none are answered."""
    if not is_modeled(answered_N):
        return np.ones(len(answered_N))
    return weights(fit(design.value_NP, answered_N).chance_N)


def is_modeled(answered_N: Bool) -> bool:
    """Return whether there are both answered and unanswered asks, which a model takes."""
    return bool(0 < np.count_nonzero(answered_N) < len(answered_N))


def weights(chance_N: F64) -> F64:
    """Return the inverse of each chance of an answer, bounded."""
    weight_N: F64 = 1 / np.maximum(chance_N, _LEAST)
    return weight_N


def tilted(covariate_AP: F64, worth_A: F64, ratio: float) -> F64:
    """Return factors for weights if the answer itself influences whether viewers answer.

    Of two views with equal covariates, one worth 0 is answered `ratio` times as readily as one worth 1, with
    a steady change between. No log can identify this ratio: it comes from outside, or is varied to see what
    depends on it (exponential tilting: Scharfstein, Rotnitzky and Robins 1999). With 1 all factors are 1.
    """
    if not ratio > 0:
        raise ValueError(f"ratio must be positive, got {ratio}")
    tilt_A = ratio**worth_A
    # The model's chance is a mean over the answers that such views get; this divides that mean out.
    x_AQ = np.concatenate([np.ones((len(worth_A), 1)), standardized(covariate_AP)], 1)
    usual_A = x_AQ @ np.linalg.lstsq(x_AQ, tilt_A, rcond=None)[0]
    factor_A: F64 = tilt_A / np.clip(usual_A, min(1.0, ratio), max(1.0, ratio))
    return factor_A


def balance(covariate_NP: F64, answered_N: Bool, weight_N: F64) -> Balance:
    """Return the distance of answered asks from all asks in each covariate, in standard deviations."""
    x_NP = standardized(covariate_NP)
    answered_NP, weight_A = x_NP[answered_N], weight_N[answered_N]
    return Balance(answered_NP.mean(0), (answered_NP * weight_A[:, None]).sum(0) / weight_A.sum())


def standardized(values_NP: F64) -> F64:
    """Return columns of mean 0 and deviation 1; a constant one is 0."""
    spread_P = values_NP.std(0)
    centered: F64 = (values_NP - values_NP.mean(0)) / np.where(spread_P > 0, spread_P, 1)
    return centered


def _logistic(x: F64) -> F64:
    chance: F64 = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return chance

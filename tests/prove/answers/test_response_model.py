"""The response model against an independent one, and that weighting by the truth balances."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from easq.prove.answers.response_model import balance, fit, standardized, tilted, weights


def drawn(seed: int, num: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(num, 4)) * [1, 5, 0.1, 1] + [0, 3, 0, 1]
    x[:, 3] = x[:, 3] > 1
    chance = 1 / (1 + np.exp(2 - x[:, 0] - 0.2 * (x[:, 1] - 3)))
    return x, random.random(num) < chance, chance


@pytest.mark.parametrize("ridge", [0.1, 1.0, 50.0])
def test_fit_agrees_with_scikit_learn(ridge: float) -> None:
    x, answered, _ = drawn(1)
    theirs = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=1000).fit(standardized(x), answered)
    ours = fit(x, answered, ridge)
    np.testing.assert_allclose(ours.slope_P, theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_[0], atol=1e-5)
    np.testing.assert_allclose(ours.chance_N, theirs.predict_proba(standardized(x))[:, 1], atol=1e-6)


def test_separated_answers_still_have_a_fit() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    result = fit(np.concatenate([x, np.ones_like(x)], 1), x[:, 0] > 0)
    assert np.isfinite(result.slope_P).all()
    assert result.slope_P[1] == pytest.approx(0)
    with pytest.raises(ValueError, match="answered and unanswered"):
        fit(x, np.ones(40, np.bool_))


def test_true_chances_and_fitted_ones_balance() -> None:
    x, answered, chance = drawn(2, 40_000)
    for chance_N in (chance, fit(x, answered).chance_N):
        result = balance(x, answered, weights(chance_N))
        assert np.abs(result.before_P).max() > 0.5
        assert np.abs(result.after_P).max() < 0.1


def test_a_known_ratio_corrects_for_answers_that_influence_answering() -> None:
    """What is felt depends on x, and the worst is said three times as readily as the best, whatever x is."""
    random = np.random.default_rng(3)
    x = random.normal(size=(200_000, 1))
    worth = random.integers(0, 3, len(x)) / 2
    worth[(x[:, 0] > 0) & (random.random(len(x)) < 0.5)] = 1
    answered = random.random(len(x)) < 0.1 * 3.0**-worth * np.exp(0.3 * x[:, 0])
    behavior = weights(fit(x, answered).chance_N)[answered]
    errors = {
        ratio: np.average(worth[answered], weights=behavior * tilted(x[answered], worth[answered], ratio))
        - worth.mean()
        for ratio in (1.0, 3.0)
    }
    assert errors[1.0] < -0.1
    assert abs(errors[3.0]) < 0.01
    assert (tilted(x[answered], worth[answered], 1.0) == 1).all()
    with pytest.raises(ValueError, match="ratio must be positive, got 0"):
        tilted(x[answered], worth[answered], 0.0)

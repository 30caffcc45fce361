"""The answers' own weights: against Vowpal Wabbit on the same rows, and a state that continues."""

import numpy as np
import pytest

from easq.model.own_weights import OwnWeights

NUM_ROWS = 50


def answers(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, NUM_ROWS, (num, 4)), random.integers(0, 2, num).astype(np.float64)


def test_weights_are_those_of_vowpal_wabbit() -> None:
    vw = pytest.importorskip("vowpalwabbit")
    value_AX, said_A = answers(200)
    own = OwnWeights(NUM_ROWS, 0.05)
    workspace = vw.Workspace("--loss_function logistic -b 18 --quiet --ftrl --ftrl_alpha .05 --ftrl_beta .1")
    for value_X, said in zip(value_AX, said_A, strict=True):
        values = np.unique(value_X[value_X > 0])
        own.learn(values[None], np.array([said]), np.ones(1, np.float32))
        workspace.learn(f"{2 * int(said) - 1} |a {' '.join(map(str, values))}")
    weights = own._weights(np.arange(NUM_ROWS))
    for row in range(1, NUM_ROWS):
        alone = workspace.predict(f"|a {row}") - workspace.predict("|a ")
        assert weights[row] == pytest.approx(alone, abs=1e-4)


def test_crosses_have_a_rate_of_their_own_and_say_what_no_value_says() -> None:
    random = np.random.default_rng(0)
    place_A = random.integers(0, 4, 4000)
    viewer_A, item_A, said_A = 1 + place_A // 2, 3 + place_A % 2, (place_A // 2 == place_A % 2).astype(float)
    own = OwnWeights(NUM_ROWS, 0.05, num_crosses=4, cross_rate=0.02)
    first = own.first_cross
    rows, weights = own.learn(
        np.stack([viewer_A, item_A, first + place_A], 1), said_A, np.ones(4000, np.float32)
    )
    assert rows.tolist() == [1, 2, 3, 4, *range(first, first + 4)]
    assert np.abs(weights[:4]).max() < 0.2
    assert (weights[4:] * [1, -1, -1, 1] > 1).all()
    once = OwnWeights(NUM_ROWS, 0.05, num_crosses=4, cross_rate=0.02)
    moved = once.learn(np.array([[1, first]]), np.ones(1), np.ones(1, np.float32))[1]
    assert moved[1] == pytest.approx(moved[0] * 0.02 / 0.05)


def test_only_what_answers_name_is_changed_and_padding_never() -> None:
    own = OwnWeights(NUM_ROWS, 0.05)
    rows, weights = own.learn(np.array([[3, 0, 3, NUM_ROWS + 7]]), np.array([1.0]), np.ones(1, np.float32))
    assert rows.tolist() == [3, NUM_ROWS + 7]
    assert (weights > 0).all()
    unchanged = own.learn(np.array([[4, 5]]), np.array([0.0]), np.zeros(1, np.float32))[0]
    assert not len(unchanged)


def test_a_state_continues() -> None:
    first, second = OwnWeights(NUM_ROWS, 0.05), OwnWeights(NUM_ROWS, 0.05)
    value_AX, said_A = answers(30)
    first.learn(value_AX, said_A, np.ones(30, np.float32))
    second.restore(first.state())
    assert len(first.state()["rows"]) < NUM_ROWS + 1
    for own in (first, second):
        own.learn(*answers(30, seed=1), np.ones(30, np.float32))
    for name, values in first.state().items():
        np.testing.assert_array_equal(values, second.state()[name])

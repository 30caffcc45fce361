"""The readout: least squares against scikit-learn, the weights of predictors, and what few answers can do."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from easq.model.readout import AnswersRead, LeastSquares, Mixture, ReadoutLearner, SatisfactionReadout


def test_least_squares_are_those_of_a_ridge_with_a_free_constant() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(200, 4))
    said, weight = random.normal(size=200) + inputs[:, 0] + 0.7, random.random(200)
    squares = LeastSquares(5, 30.0)
    for rows in np.split(np.arange(200), 4):
        squares.add(np.column_stack([inputs[rows], np.ones(len(rows))]), said[rows], weight[rows])
    squares.gram[-1, -1] -= 1.0  # the small prior of the constant, which scikit-learn does not have
    expected = Ridge(30.0).fit(inputs, said, weight)
    np.testing.assert_allclose(squares.weights(), [*expected.coef_, expected.intercept_], rtol=1e-6)


def mixture_of(num: int, *signal: float, seed: int = 0, prior: float = 100.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    said = random.choice([-1.0, 0.0, 1.0], num)
    predicted = random.normal(size=(num, 3)) + said[:, None] * np.array(signal)
    mixture = Mixture(prior)
    mixture.add(predicted, said, np.ones(num))
    return mixture.weights()


def test_a_predictor_weighs_what_it_has_shown() -> None:
    good, weak, none = mixture_of(5000, 1.0, 0.3, 0.0)
    assert good > 2 * weak > 0
    assert none < 0.03
    assert mixture_of(5000, -1.0, -0.5, -0.5).tolist() == [0.0, 0.0, 0.0]


def test_thirty_answers_move_little_and_nothing_is_amplified() -> None:
    by_chance = np.array([mixture_of(30, 0.0, 0.0, 0.0, seed=seed) for seed in range(200)])
    assert by_chance[:, :2].mean() < 0.02
    # Valence begins at a tenth, and 30 answers are not enough to deny it.
    assert by_chance[:, 2].mean() == pytest.approx(0.1, abs=0.03)
    tiny = np.full((100, 3), 1e-9) * np.array([1.0, 0.0, 0.0])
    mixture = Mixture(1.0)
    mixture.add(tiny * np.tile([1.0, -1.0], 50)[:, None], np.tile([1.0, -1.0], 50), np.ones(100))
    assert mixture.weights().max() <= 1.0


def read_of(said: list[float], request: list[int], logit: np.ndarray) -> AnswersRead:
    num = len(logit)
    return AnswersRead.of(
        logit_QK=logit.astype(np.float32),
        own_Q=np.arange(num, dtype=np.float32),
        valence_K=np.array([1.0, 0.0], np.float32),
        request_Q=np.array(request),
        place_A=np.arange(len(said)),
        said_A=np.array(said),
        weight_A=np.ones(len(said), np.float32),
    )


def test_answers_are_read_relative_to_their_request_unless_it_holds_one_row() -> None:
    logit = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 2.0]])
    read = read_of([1.0, -1.0, 0.0], [4, 4, 7], logit)
    np.testing.assert_allclose(read.inside_AI[:, 0], [-1.0, 1.0, 5.0])
    assert read.inside_AI[:, -1].tolist() == [0.0, 0.0, 1.0]
    np.testing.assert_allclose(read.mean_AI[:, 0], [2.0, 2.0, 5.0])
    np.testing.assert_allclose(read.others_A2, [[-0.5, -1.0], [0.5, 1.0], [2.0, 5.0]])


def test_a_state_continues() -> None:
    random = np.random.default_rng(1)
    readouts = [SatisfactionReadout([1.0, 0.0]) for _ in range(2)]
    first, second = (ReadoutLearner(readout, ridge=1.0, prior_answers=1.0) for readout in readouts)
    reads = [read_of([1.0, -1.0], [0, 0, 1], random.normal(size=(3, 2))) for _ in range(6)]
    for read in reads[:3]:
        first.add(read)
    second.restore(first.state())
    for read in reads[3:]:
        first.add(read)
        second.add(read)
    for name, values in readouts[0].state_dict().items():
        assert values.tolist() == readouts[1].state_dict()[name].tolist()


def test_without_a_prior_a_predictor_that_says_nothing_weighs_nothing() -> None:
    mixture = Mixture(0.0)
    mixture.add(np.array([[0.5, 0.0, 0.0]]), np.array([1.0]), np.ones(1))
    assert mixture.weights()[1:].tolist() == pytest.approx([0.0, 0.1])
    assert mixture.weights()[0] > 0


def test_before_any_answer_valence_alone_is_served() -> None:
    readout = SatisfactionReadout([1.0, 0.0])
    ReadoutLearner(readout, ridge=1.0, prior_answers=100.0)
    assert readout.mix_3.tolist() == pytest.approx([0.0, 0.0, 0.1])
    assert Mixture(100.0).weights().tolist() == [0.0, 0.0, 0.1]

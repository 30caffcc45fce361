"""What a plain linear learner makes of the same batches: Vowpal Wabbit, one logistic learner per behavior.

    linear           the chances of the behaviors, weighed like the level; no answer is read.
    linear_ridge     that, and least squares of the answers on the heads' logits and chances, as far as 1 % of
                     the behavior of the first three allows.
    linear_answers   one more logistic learner, on the answers alone: options above against below the middle.

Features are the embedding rows of the encoder, each a name; with crosses also every viewer value times every
candidate value. Dense features are not read. A batch is scored before it is learned, as every method scores
it; nothing here is tuned. This is the first thing that a reader will try, so it stands in every table: a base
that falls behind it is a regression. Shapes: N rows, M viewed rows, K behaviors, Q rows of answered requests,
A answers.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from easq.arrays import F64, I64
from easq.errors import InputError
from easq.features.batch import Batch
from easq.model.price import Price
from easq.model.readout import AnswersRead, LeastSquares
from easq.recipe.recipe import Recipe
from easq.recipe.values import Rate, Strict

if TYPE_CHECKING:
    from vowpalwabbit import Workspace

LINEAR = ("linear", "linear_ridge", "linear_answers")
_BUDGET, _MOST, _PRECISION = 0.01, 1.0, 20.0


class LinearSettings(Strict, frozen=True):
    """Rates of FTRL for behaviors and for answers; whether viewer and candidate values are crossed."""

    rate: Rate = 0.05
    answers_rate: Rate = 0.05
    crosses: bool = False


class LinearScores(NamedTuple):
    """The scores of a batch's rows by method, what the ridge alone says, and the chance of each behavior."""

    by_method: dict[str, F64]
    ridge_N: F64
    chance_NK: F64


class LinearReference:
    """The linear learners of one run. Raises InputError where Vowpal Wabbit is not installed."""

    def __init__(self, recipe: Recipe, settings: LinearSettings) -> None:
        num = len(recipe.behaviors)
        self._weight_K = np.array([b.weight for b in recipe.behaviors])
        self._best = len(recipe.question.options) - 1
        self._heads = [_workspace(settings.rate, settings.crosses) for _ in range(num)]
        self._said = _workspace(settings.answers_rate, settings.crosses)
        self._squares = LeastSquares(2 * num + 1, _PRECISION)
        self._price = Price(_BUDGET, most=_MOST)

    def step(self, batch: Batch) -> LinearScores:
        """Score a batch, then learn it."""
        texts = _texts(batch)
        logit_NK = np.array([[head.predict(text) for head in self._heads] for text in texts])
        logit_NK = logit_NK.reshape(len(texts), len(self._heads))
        chance_NK = 1 / (1 + np.exp(-logit_NK))
        linear_N = chance_NK @ self._weight_K
        ridge_N = np.concatenate([logit_NK, chance_NK], 1) @ self._squares.weights()[:-1]
        scores = {
            "linear": linear_N,
            "linear_ridge": linear_N + self._price.factor * ridge_N,
            "linear_answers": np.array([self._said.predict(text) for text in texts]),
        }
        self._price.observe(linear_N, ridge_N, batch.rows.request_N, batch.level_M, answer_M=batch.answer_M)
        self._learn(batch, texts, logit_NK)
        return LinearScores(scores, ridge_N, chance_NK)

    def _learn(self, batch: Batch, texts: list[str], logit_NK: F64) -> None:
        for head, shown_M in zip(self._heads, batch.behavior_MK.T.tolist(), strict=True):
            for shown, text in zip(shown_M, texts, strict=False):
                head.learn(f"{1 if shown else -1} {text}")
        said_A = 2 * batch.option_A / self._best - 1
        for row, said, weight in zip(
            batch.answer_row_A.tolist(), said_A.tolist(), batch.weight_A.tolist(), strict=True
        ):
            if said and weight:
                self._said.learn(f"{1 if said > 0 else -1} {weight} {texts[row]}")
        if len(said_A):
            start = batch.num_viewed
            none_Q = np.zeros(len(texts) - start, np.float32)
            read = AnswersRead.of(
                logit_QK=logit_NK[start:].astype(np.float32),
                own_Q=none_Q,
                valence_K=np.zeros(len(self._heads), np.float32),
                request_Q=batch.rows.request_N[start:],
                place_A=batch.answer_row_A - start,
                said_A=said_A,
                weight_A=batch.weight_A,
            )
            self._squares.add(read.inside_AI, read.said_A, read.weight_A)


def _workspace(rate: float, crosses: bool) -> "Workspace":
    try:
        from vowpalwabbit import Workspace
    except ImportError:
        raise InputError(
            "linear, linear_ridge and linear_answers need Vowpal Wabbit, which is not installed: "
            "pip install 'easq[bench]', or leave them out"
        ) from None
    crossed = "-q vc" if crosses else ""
    return Workspace(f"--loss_function logistic -b 22 --quiet --ftrl --ftrl_alpha {rate} {crossed}")


def _texts(batch: Batch) -> list[str]:
    """Return each row as Vowpal Wabbit reads it: the viewer's values and the candidate's, without padding."""
    viewer = [_names(rows) for rows in batch.rows.viewer_BW]
    return [
        f"|v {viewer[request]} |c {_names(rows)}"
        for request, rows in zip(batch.rows.request_N.tolist(), batch.rows.candidate_NV, strict=True)
    ]


def _names(rows: I64) -> str:
    return " ".join(map(str, rows[rows > 0].tolist()))

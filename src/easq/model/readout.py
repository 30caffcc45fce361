"""What viewers say, predicted from few answers: three predictors, each weighed by what it has shown.

    ridge     least squares of the answers on the logits and chances of the behavior heads, closed form.
    own       first-order weights that answers alone train.
    valence   the logits of behaviors that the recipe calls good or bad, with those signs.

On a log whose behavior says what satisfies, the ridge is worth most; where it does not, the answers' own
weights; and before there are answers only the valence. So each predicts every answer before it is learned,
and least squares of the answers on these predictions, not negative and shrunk, give the weights.

A ranking needs the order inside a request, so predictors are read relative to the mean of the answer's
request (with one row: relative to nothing), and the means of requests have weights of their own. These change
no order; they say how satisfied a viewer is on the whole.

Everything that is summed is NumPy in float64 and belongs to training; the network holds only the weights.
Shapes: A answers, Q rows of their requests, K behaviors, P = 2 K inputs of the ridge, R predictors, N rows.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from easq.arrays import F32, F64, I64

_PREDICTORS = 3
_MOST = 1.0
_FIRST_MIX = (0.0, 0.0, 0.1)
"""Of ridge, own and valence before any answer. Worlds show .07 to .12 of an answer per logit of valence."""


class SatisfactionReadout(nn.Module):
    """The weights of all predictors, as they are served.

    `mix_3` weighs ridge, own and valence inside a request, `between_3` their means.
    """

    def __init__(self, valence_K: Sequence[float]) -> None:
        super().__init__()
        num = len(valence_K)
        zeros = {
            "ridge_P": 2 * num,
            "mean_P": 2 * num,
            "bias": 2,
            "mix_3": _PREDICTORS,
            "between_3": _PREDICTORS,
        }
        for name, size in zeros.items():
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("valence_K", torch.tensor(valence_K), persistent=False)
        self.ridge_P: Tensor
        self.mean_P: Tensor
        self.bias: Tensor
        self.mix_3: Tensor
        self.between_3: Tensor
        self.valence_K: Tensor

    def forward(self, logit_NK: Tensor, own_N: Tensor) -> Tensor:
        """Return what orders the rows of a request: the weighed sum of the predictors."""
        known_NP = inputs(logit_NK)
        ridge, own, valence = self.mix_3
        order_N: Tensor = (
            ridge * (known_NP @ self.ridge_P) + own * own_N + valence * (logit_NK @ self.valence_K)
        )
        return order_N

    def estimate(self, logit_QK: Tensor, own_Q: Tensor, request_Q: Tensor, num_requests: int) -> Tensor:
        """Return the answer expected of rows whose requests are whole, -1 (worst option) to 1 (best)."""
        order_Q = self(logit_QK, own_Q)
        # Counted without a size that depends on values, so that a scorer can be exported.
        size_B = request_Q.new_zeros(num_requests).index_add(0, request_Q, torch.ones_like(request_Q))
        size_B = size_B.clamp(min=1)
        columns = torch.cat(
            [inputs(logit_QK), torch.stack([order_Q, own_Q, logit_QK @ self.valence_K], 1)], 1
        )
        mean_QF = (columns.new_zeros(num_requests, columns.shape[1]).index_add(0, request_Q, columns)
                   / size_B.unsqueeze(1)).index_select(0, request_Q)  # fmt: skip
        ridge, own, valence = self.between_3
        num = self.ridge_P.shape[0]
        between_Q = (
            ridge * (mean_QF[:, :num] @ self.mean_P + self.bias[1])
            + own * mean_QF[:, num + 1]
            + valence * mean_QF[:, num + 2]
        )
        alone_Q = size_B.index_select(0, request_Q) == 1
        return torch.where(
            alone_Q, order_Q + self.mix_3[0] * self.bias[0], order_Q - mean_QF[:, num] + between_Q
        )


def inputs(logit_NK: Tensor) -> Tensor:
    """Return the inputs of the ridge: every logit and every chance."""
    return torch.cat([logit_NK, logit_NK.sigmoid()], 1)


class AnswersRead(NamedTuple):
    """The answers of a step: what the predictors read for them, and what was said, -1 (worst option) to 1.

    inside_AI, others_A2      the ridge's inputs, and own and valence, relative to the request; the last input
                              is 1 where the request holds one row.
    mean_AI, other_means_A2   their means over the request; the last input is 1.
    """

    inside_AI: F64
    mean_AI: F64
    others_A2: F64
    other_means_A2: F64
    said_A: F64
    weight_A: F64

    @staticmethod
    def of(
        logit_QK: F32, own_Q: F32, valence_K: F32, request_Q: I64, place_A: I64, said_A: F64, weight_A: F32
    ) -> "AnswersRead":
        """Read the answered rows `place_A` among the rows Q, whose requests are whole."""
        logit = logit_QK.astype(np.float64)
        columns = np.concatenate(
            [logit, 1 / (1 + np.exp(-logit)), own_Q[:, None], (logit @ valence_K)[:, None]], 1
        )
        _, number_Q, size_B = np.unique(request_Q, return_inverse=True, return_counts=True)
        sums_BF = np.zeros((len(size_B), columns.shape[1]))
        np.add.at(sums_BF, number_Q, columns)
        request_A = number_Q[place_A]
        mean_AF = (sums_BF / np.maximum(size_B, 1)[:, None])[request_A]
        alone_A = (size_B[request_A] == 1)[:, None]
        inside_AF = columns[place_A] - np.where(alone_A, 0.0, mean_AF)
        return AnswersRead(
            np.concatenate([inside_AF[:, :-2], alone_A], 1),
            np.concatenate([mean_AF[:, :-2], np.ones_like(alone_A)], 1),
            inside_AF[:, -2:],
            mean_AF[:, -2:],
            said_A,
            weight_A.astype(np.float64),
        )


class LeastSquares:
    """Weighted least squares with a normal prior of mean 0; the last input is a constant without a prior."""

    def __init__(self, size: int, precision: float) -> None:
        prior: F64 = np.full(size, precision)
        prior[-1] = 1.0
        self.gram: F64 = np.diag(prior)
        self.moment: F64 = np.zeros(size)

    def add(self, input_AI: F64, said_A: F64, weight_A: F64) -> None:
        """Add answers."""
        weighted_AI: F64 = input_AI * weight_A[:, None]
        self.gram = self.gram + weighted_AI.T @ input_AI
        self.moment = self.moment + weighted_AI.T @ said_A

    def weights(self) -> F64:
        """Return the weights of the inputs."""
        return np.linalg.solve(self.gram, self.moment).astype(np.float64)


class Mixture:
    """Weights of predictors from their predictions of answers that they had not learned.

    The prior says that they are worth `first`, as firmly as `prior_answers` answers would: of the readout's
    three, that valence alone is worth something.
    """

    def __init__(self, prior_answers: float, first: Sequence[float] = _FIRST_MIX) -> None:
        self._prior, self._first = prior_answers, np.array(first)
        self.gram: F64 = np.zeros((len(first), len(first)))
        self.moment: F64 = np.zeros(len(first))
        self.totals: F64 = np.zeros(2)

    def add(self, predicted_AR: F64, said_A: F64, weight_A: F64) -> None:
        """Add predictions and what was then said."""
        num, total = self.totals
        weighted: F64 = predicted_AR * weight_A[:, None]
        self.gram = self.gram + weighted.T @ predicted_AR
        self.moment = self.moment + weighted.T @ (said_A - total / num if num else said_A)
        self.totals += weight_A.sum(), (weight_A * said_A).sum()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sums."""
        return {"gram": self.gram, "moment": self.moment, "totals": self.totals}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self.gram, self.moment, self.totals = (
            state[name].astype(np.float64) for name in ("gram", "moment", "totals")
        )

    def weights(self) -> F64:
        """Return the weights: none is negative, and none amplifies its predictor."""
        if not self.totals[0]:
            return self._first.copy()
        shrink = np.maximum(self._prior * np.diag(self.gram) / self.totals[0], 1e-12)
        moment = self.moment + shrink * self._first
        return np.minimum(_not_negative(self.gram + np.diag(shrink), moment), _MOST)


def _not_negative(gram: F64, moment: F64) -> F64:
    """Return the weights w >= 0 with the least w' G w / 2 - m' w, by trying which of the few are positive."""
    best, least = np.zeros(len(moment)), 0.0
    for size in range(1, len(moment) + 1):
        for chosen in combinations(range(len(moment)), size):
            part = np.ix_(chosen, chosen)
            weights = np.linalg.solve(gram[part], moment[list(chosen)])
            value = -float(moment[list(chosen)] @ weights) / 2
            if (weights >= 0).all() and value < least:
                least, best = value, np.zeros(len(moment))
                best[list(chosen)] = weights
    return best


class ReadoutLearner:
    """Learns a readout from answers, each predicted before it is learned."""

    def __init__(self, readout: SatisfactionReadout, *, ridge: float, prior_answers: float) -> None:
        self._readout = readout
        size = len(readout.ridge_P) + 1
        self._inside, self._mean = LeastSquares(size, ridge), LeastSquares(size, ridge)
        self._mix, self._between = Mixture(prior_answers), Mixture(prior_answers)
        self._serve()

    def add(self, read: AnswersRead) -> None:
        """Learn a step's answers, and move the readout's weights."""
        if not len(read.said_A):
            return
        for squares, mixture, input_AI, others_A2 in (
            (self._inside, self._mix, read.inside_AI, read.others_A2),
            (self._mean, self._between, read.mean_AI, read.other_means_A2),
        ):
            predicted_A3 = np.column_stack([input_AI @ squares.weights(), others_A2])
            mixture.add(predicted_A3, read.said_A, read.weight_A)
            squares.add(input_AI, read.said_A, read.weight_A)
        self._serve()

    def _serve(self) -> None:
        inside, mean = self._inside.weights(), self._mean.weights()
        for name, values in (
            ("ridge_P", inside[:-1]),
            ("mean_P", mean[:-1]),
            ("bias", np.array([inside[-1], mean[-1]])),
            ("mix_3", self._mix.weights()),
            ("between_3", self._between.weights()),
        ):
            getattr(self._readout, name).copy_(torch.from_numpy(values))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return all sums."""
        return {
            f"{name}.{part}": getattr(sums, part)
            for name, sums in self._sums()
            for part in vars(sums)
            if part[0] != "_"
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        for name, sums in self._sums():
            for part in vars(sums):
                if part[0] != "_":
                    setattr(sums, part, state[f"{name}.{part}"].astype(np.float64))

    def _sums(self) -> list[tuple[str, LeastSquares | Mixture]]:
        return [
            ("inside", self._inside),
            ("mean", self._mean),
            ("mix", self._mix),
            ("between", self._between),
        ]

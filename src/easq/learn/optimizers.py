"""The optimizers of the dense part: Adam, and one of its own for a path that answers train.

Adam moves a parameter by its momentum even where the gradient is zero, and after a quiet time its second
moment is spent, so that one rare gradient moves every coordinate by many rates. A path that only rare answers
train must not share such an optimizer: it would be dragged along by every step in between.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from easq.home.snapshots import Nested
from easq.model.method import AnswerPath, Moves


class DenseOptimizer:
    """Clips and steps all parameters that have a gradient.

    Parameters that the same losses move are one part, and each part is clipped by its own norm: a large
    gradient of one part takes nothing from another.
    """

    def __init__(
        self,
        dense: nn.Module,
        gradient_map: Mapping[str, Moves],
        path: AnswerPath | None,
        *,
        rate: float,
        clip: float,
    ) -> None:
        named = dict(dense.named_parameters())
        own = {n: p for n, p in named.items() if path is not None and n.startswith(path.parts)}
        main = [p for n, p in named.items() if n not in own]
        # A method whose chances are given has nothing to train here.
        self._main = torch.optim.Adam(main, lr=rate, fused=True) if main else None
        self._path = list(own.values())
        self._answers = None
        if path is not None and own:
            self._answers = torch.optim.Adam(self._path, lr=path.rate, fused=True)
        parts: dict[tuple[str, ...], list[nn.Parameter]] = defaultdict(list)
        for name, parameter in named.items():
            parts[_losses_of(name, gradient_map)].append(parameter)
        self._parts, self._clip = list(parts.values()), clip

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self._parts:
            for parameter in part:
                parameter.grad = None

    def step(self) -> float:
        """Clip and step; return the norm of the whole gradient before clipping."""
        norms = [self._clipped(part) for part in self._parts]
        if self._main is not None:
            self._main.step()
        if self._answers is not None and any(p.grad is not None and bool(p.grad.any()) for p in self._path):
            self._answers.step()
        return float(torch.linalg.vector_norm(torch.tensor(norms)))

    def _clipped(self, part: Sequence[nn.Parameter]) -> float:
        trained = [p for p in part if p.grad is not None]
        if not trained:
            return 0.0
        norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        if self._clip:
            nn.utils.clip_grads_with_norm_(trained, self._clip, norm)
        return float(norm)

    def state(self) -> Nested:
        """Return the moments by optimizer and number of the parameter."""
        state: dict[str, Nested] = {}
        if self._main is not None:
            state["adam"] = _moments(self._main)
        if self._answers is not None:
            state["answer_adam"] = _moments(self._answers)
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        if self._main is not None:
            _restore(self._main, state.get("adam", {}))
        if self._answers is not None:
            _restore(self._answers, state.get("answer_adam", {}))


def _losses_of(name: str, gradient_map: Mapping[str, Moves]) -> tuple[str, ...]:
    """Return the losses that move a parameter; of one that the map does not know, its module."""
    losses = tuple(
        loss
        for loss, moves in gradient_map.items()
        if name.startswith(moves.parts) and not name.startswith(moves.but_not or "-")
    )
    return losses or (".".join(name.split(".")[:2]),)


def _moments(optimizer: torch.optim.Adam) -> Nested:
    moments = optimizer.state_dict()["state"]
    return {
        str(number): {name: value.numpy() for name, value in parts.items()}
        for number, parts in moments.items()
    }


def _restore(optimizer: torch.optim.Adam, state: Mapping[str, Any]) -> None:
    moments = {
        int(number): {name: torch.from_numpy(value.copy()) for name, value in parts.items()}
        for number, parts in state.items()
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})

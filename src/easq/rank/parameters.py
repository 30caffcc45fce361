"""One version of the parameters in the form that is served, changed in place by deltas.

Everything here belongs to one thread, the one that scores: between two requests it applies what others
have read and checked, so scoring needs no lock and never sees half a change.
Shapes: B requests, N rows, R table rows, E embedding width.
"""

import copy

import numpy as np
import torch
from torch import Tensor

from easq.arrays import F32
from easq.features.encode import Layout, Rows
from easq.home.snapshots import State
from easq.log.events import Delta, delta_checksum
from easq.log.ids import version_name
from easq.log.packing import FLOAT, ID
from easq.model.build import build_method
from easq.model.embedding import Touched
from easq.recipe.recipe import Recipe

SERVED = ("dense.", "table.weight")
"""What serving reads of a version's arrays."""


class Parameters:
    """The served function and its version `seq`; `replace` and `apply` change both, `score` reads them."""

    def __init__(self, recipe: Recipe) -> None:
        layout = Layout.of(recipe.features)
        self._pooling, self._network, _ = build_method(recipe, layout)
        dense = torch.nn.ModuleDict({"pooling": self._pooling, "model": self._network}).requires_grad_(False)
        self._dense: dict[str, Tensor] = dict(dense.state_dict())
        self._table_RE = torch.zeros(layout.num_rows, sum(self._pooling.widths))
        self._served = self._network.merged()
        self.seq = -1

    @property
    def name(self) -> str:
        """Return the name of this version."""
        return version_name(self.seq)

    def score(self, rows: Rows) -> F32:
        """Return the served score of each row."""
        with torch.inference_mode():
            touched = Touched.whole(self._table_RE, rows)
            x = self._pooling(touched, torch.from_numpy(rows.request_N))
            scores: F32 = self._served(x).numpy()
        return scores

    def explain(self, rows: Rows) -> tuple[F32, F32 | None]:
        """Return the score that behaviour trains and the satisfaction score of each row, which none may be.

        Slower than `score`, for people who ask why.
        """
        with torch.inference_mode():
            touched = Touched.whole(self._table_RE, rows)
            x = self._pooling(touched, torch.from_numpy(rows.request_N))
            found = self._network(x, torch.arange(len(rows.request_N)))
        behavior_N = found.served_N if found.behavior_N is None else found.behavior_N
        satisfaction_N = found.satisfaction_A
        return behavior_N.numpy(), None if satisfaction_N is None else satisfaction_N.numpy()

    def state(self) -> State:
        """Return the arrays that `replace` takes; they share this one's memory."""
        dense = {f"dense.{name}": value.numpy() for name, value in self._dense.items()}
        return {**dense, "table.weight": self._table_RE.numpy()}

    def replace(self, seq: int, state: State) -> None:
        """Become version `seq`, whose checked arrays these are; the table is taken over as it is."""
        for name, value in self._dense.items():
            value.copy_(torch.from_numpy(state[f"dense.{name}"]))
        self._table_RE = torch.from_numpy(state["table.weight"])
        self._served = self._network.merged()
        self.seq = seq

    def apply(self, delta: Delta) -> None:
        """Become the next version by a checked delta."""
        for name, value in self._dense.items():
            value.copy_(torch.from_numpy(_floats(delta.dense[name])).view(value.shape))
        rows = torch.from_numpy(np.frombuffer(delta.rows, ID).astype(np.int64))
        values = torch.from_numpy(_floats(delta.values)).view(len(rows), self._table_RE.shape[1])
        self._table_RE.index_copy_(0, rows, values)
        self._served = self._network.merged()
        self.seq = delta.seq

    def copy(self) -> "Parameters":
        """Return parameters of their own with the same values."""
        return copy.deepcopy(self)

    def refuses(self, delta: Delta) -> str:
        """Return why a delta cannot be applied, or nothing; may be asked in any thread."""
        if delta_checksum(delta.rows, delta.values, delta.dense) != delta.checksum:
            return "its checksum is wrong"
        sizes = {name: len(column) for name, column in delta.dense.items()}
        expected = {name: FLOAT.itemsize * value.numel() for name, value in self._dense.items()}
        num_rows, dim = self._table_RE.shape
        if len(delta.rows) % ID.itemsize:
            return "its rows are cut off"
        rows = np.frombuffer(delta.rows, ID)
        if sizes != expected or len(delta.values) != FLOAT.itemsize * dim * len(rows):
            return "it is of another model"
        if len(rows) and not 0 <= rows.min() <= rows.max() < num_rows:
            return "it names rows that the table does not have"
        if not all(np.isfinite(_floats(column)).all() for column in (delta.values, *delta.dense.values())):
            return "it holds values that are not finite"
        return ""

    def refuses_version(self, state: State) -> str:
        """Return why a version's arrays cannot be served, or nothing; may be asked in any thread."""
        shapes = {name: (value.shape, value.dtype) for name, value in state.items()}
        kind = np.dtype(np.float32)
        expected = {f"dense.{name}": (tuple(value.shape), kind) for name, value in self._dense.items()}
        expected["table.weight"] = (tuple(self._table_RE.shape), kind)
        if shapes != expected:
            return "it is of another model"
        if not all(np.isfinite(value).all() for value in state.values()):
            return "it holds values that are not finite"
        return ""


def _floats(column: bytes) -> F32:
    return np.frombuffer(column, FLOAT).astype(np.float32)

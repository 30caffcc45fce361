"""One version of the parameters as it is served, changed in place by deltas.

Everything here belongs to the thread that scores. Between two requests it applies changes that other threads
have read and checked, so scoring needs no lock and never sees half a change.
Shapes: B requests, N rows, R table rows, E embedding width.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from easq.arrays import F32
from easq.features.encode import Rows
from easq.features.layout import Layout
from easq.home.snapshots import Nested, flatten
from easq.log.events import Delta, delta_checksum
from easq.log.ids import version_name
from easq.log.packing import FLOAT, ID, Column
from easq.model.build import build_method, crosses_of
from easq.model.crosses import NUM_CROSSES
from easq.model.embedding import Touched
from easq.rank.exported_scorer import ExportedScorer
from easq.recipe.recipe import Recipe

SERVED = ("dense", "table:weight", "table:crosses")
"""Prefixes of the arrays of a version that serving reads."""


class Parameters:
    """The scoring function of version `seq`. `replace` and `apply` change the version, `score` uses it."""

    def __init__(self, recipe: Recipe) -> None:
        self._layout = layout = Layout.of(recipe.features, recipe.row_salt)
        self._pooling, self._network, _ = build_method(recipe, layout)
        dense = torch.nn.ModuleDict({"pooling": self._pooling, "model": self._network}).requires_grad_(False)
        self._dense: dict[str, Tensor] = dict(dense.state_dict())
        self._table_RE = torch.zeros(layout.num_rows, sum(part.width for part in self._pooling.parts))
        self._crosses = crosses_of(recipe, layout)
        self._served = self._network.merged()
        self.seq = -1

    @property
    def name(self) -> str:
        """Return the name of this version."""
        return version_name(self.seq)

    def score(self, rows: Rows) -> F32:
        """Return the served score of each row."""
        with torch.inference_mode():
            touched = Touched.whole(self._table_RE, rows, self._crosses)
            x = self._pooling(touched, torch.from_numpy(rows.request_N))
            scores: F32 = self._served(x).numpy()
        return scores

    def explain(self, rows: Rows) -> tuple[F32, F32 | None]:
        """Return each row's behavior score and satisfaction score; the latter is None without one.

        Slower than `score`. For explanations.
        """
        with torch.inference_mode():
            touched = Touched.whole(self._table_RE, rows, self._crosses)
            x = self._pooling(touched, torch.from_numpy(rows.request_N))
            scores = self._network(x, torch.arange(len(rows.request_N)))
        behavior_N = scores.served_N if scores.behavior_N is None else scores.behavior_N
        satisfaction_N = scores.satisfaction_A
        return behavior_N.numpy(), None if satisfaction_N is None else satisfaction_N.numpy()

    def exported(self) -> ExportedScorer:
        """Return the scorer of one request, with a copy of these parameters."""
        return ExportedScorer(self._layout, self._pooling, self._network, self._table_RE, self._crosses)

    def state(self) -> Nested:
        """Return the arrays that `replace` takes. They share memory with these parameters."""
        dense = {name: value.numpy() for name, value in self._dense.items()}
        table = {"weight": self._table_RE.numpy()}
        if self._crosses is not None:
            table["crosses"] = self._crosses.weight.numpy()
        return {"dense": dense, "table": table}

    def replace(self, seq: int, state: Mapping[str, Any]) -> None:
        """Become version `seq` with these checked arrays. The tables are not copied."""
        for name, value in self._dense.items():
            value.copy_(torch.from_numpy(state["dense"][name]))
        self._table_RE = torch.from_numpy(state["table"]["weight"])
        if self._crosses is not None:
            self._crosses.weight = torch.from_numpy(state["table"]["crosses"])
        self._served = self._network.merged()
        self.seq = seq

    def apply(self, delta: Delta) -> None:
        """Become the next version by applying a checked delta."""
        for name, value in self._dense.items():
            value.copy_(torch.from_numpy(_floats(delta.dense[name])).view(value.shape))
        rows = _ids(delta.rows)
        values = torch.from_numpy(_floats(delta.values)).view(len(rows), self._table_RE.shape[1])
        self._table_RE.index_copy_(0, rows, values)
        if self._crosses is not None:
            self._crosses.weight.index_copy_(
                0, _ids(delta.crosses), torch.from_numpy(_floats(delta.cross_values))
            )
        self._served = self._network.merged()
        self.seq = delta.seq

    def copy(self) -> "Parameters":
        """Return a copy that shares no memory."""
        return copy.deepcopy(self)

    def refuses(self, delta: Delta) -> str:
        """Return why a delta cannot be applied, empty if it can. Any thread may call this."""
        columns = delta.rows, delta.values, delta.dense, delta.crosses, delta.cross_values
        if delta_checksum(*columns) != delta.checksum:
            return "its checksum is wrong"
        sizes = {name: len(column) for name, column in delta.dense.items()}
        expected = {name: FLOAT.itemsize * value.numel() for name, value in self._dense.items()}
        num_rows, dim = self._table_RE.shape
        if len(delta.rows) % ID.itemsize or len(delta.crosses) % ID.itemsize:
            return "its rows are cut off"
        num_crosses = 0 if self._crosses is None else NUM_CROSSES
        tables = (
            (delta.rows, delta.values, num_rows, dim),
            (delta.crosses, delta.cross_values, num_crosses, 1),
        )
        for ids, values, num, width in tables:
            rows = np.frombuffer(ids, ID)
            if sizes != expected or len(values) != FLOAT.itemsize * width * len(rows):
                return "it is of another model"
            if len(rows) and not 0 <= rows.min() <= rows.max() < num:
                return "it names rows that the table does not have"
        floats = (delta.values, delta.cross_values, *delta.dense.values())
        if not all(np.isfinite(_floats(column)).all() for column in floats):
            return "it holds values that are not finite"
        return ""

    def refuses_version(self, state: Nested) -> str:
        """Return why a version's arrays cannot be served, empty if they can. Any thread may call this."""
        arrays = flatten(state)
        shapes = {name: (value.shape, value.dtype) for name, value in arrays.items()}
        kind = np.dtype(np.float32)
        expected = {f"dense:{name}": (tuple(value.shape), kind) for name, value in self._dense.items()}
        expected["table:weight"] = (tuple(self._table_RE.shape), kind)
        if self._crosses is not None:
            expected["table:crosses"] = (tuple(self._crosses.weight.shape), kind)
        if shapes != expected:
            return "it is of another model"
        if not all(np.isfinite(value).all() for value in arrays.values()):
            return "it holds values that are not finite"
        return ""


def _ids(column: Column) -> Tensor:
    return torch.from_numpy(np.frombuffer(column, ID).astype(np.int64))


def _floats(column: bytes) -> F32:
    return np.frombuffer(column, FLOAT).astype(np.float32)

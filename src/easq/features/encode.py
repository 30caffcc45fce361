"""From features to embedding rows: hash ids, bucket numbers, pad lists.

Shapes: B requests, N candidates (rows), W and V embedding rows per viewer and per candidate
(padding included), X and Y numbers of the dense features of both. Embedding row 0 is the padding.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, I64, Anything, Bool
from easq.errors import InputError
from easq.features.columns import UNKNOWN, Columns, Shape
from easq.features.layout import DenseSlot, Layout, Slot
from easq.log.events import Request
from easq.log.ids import mix
from easq.log.packing import COUNT, FLOAT, ID, pack_floats, pack_ids
from easq.recipe.features import Categorical, Feature, History, Multi, Number, Numeric, Score, Vector
from easq.recipe.values import Side


class Ragged(NamedTuple):
    """The ids of several rows, concatenated, and the number of ids of each row."""

    ids: I64
    counts: I64


class DenseRows(NamedTuple):
    """The dense features of viewers and candidates, in the order of the layout; NaN where unknown."""

    viewer_BX: F32
    candidate_NY: F32


@dataclass(frozen=True)
class Rows:
    """Features as embedding rows. Candidate n belongs to request `request_N[n]`; requests are in order.

    `score_NS` are the scores of the layout, NaN where they are unknown. `dense` is None if the layout has no
    dense features.
    """

    viewer_BW: I64
    candidate_NV: I64
    request_N: I64
    score_NS: F32
    dense: DenseRows | None = None

    def take(self, keep_N: Bool) -> "Rows":
        """Return some candidates, of the same requests."""
        dense = self.dense
        return Rows(
            self.viewer_BW,
            self.candidate_NV[keep_N],
            self.request_N[keep_N],
            self.score_NS[keep_N],
            None if dense is None else DenseRows(dense.viewer_BX, dense.candidate_NY[keep_N]),
        )


@dataclass
class Collisions:
    """How often the embedding row of an id had been taken by another id first."""

    lookups: int = 0
    collided: int = 0
    taken: int = 0


class Encoder:
    """Turns logged requests into embedding rows, and counts collisions. The layout names the features needed.

    `owner` holds the first id of each row, so that collisions are counted and not estimated. `unknown`
    counts, by feature, the encoded requests of before it was added to the recipe: there it is unknown.
    """

    def __init__(self, features: Sequence[Feature], row_salt: int) -> None:
        self.layout = Layout.of(features, row_salt)
        self.owner = np.zeros(self.layout.num_rows, np.int64)
        self.owned = np.zeros(self.layout.num_rows, np.bool_)
        self.collisions = {f.name: Collisions() for f in features if isinstance(f, Categorical | Multi)}
        self.unknown: Counter[str] = Counter()
        layout = self.layout
        scores = {f.name for f in layout.scores}
        self._names = [
            {s.feature.name for s in layout.viewer} | {s.feature.name for s in layout.viewer_dense},
            {s.feature.name for s in layout.candidate}
            | {s.feature.name for s in layout.candidate_dense}
            | scores,
        ]

    def encode(self, requests: Sequence[Request]) -> Rows:
        """Return the rows of all candidates of all requests.

        A feature that a request lacks is unknown, one that the recipe lacks is ignored. Raises InputError,
        naming feature and request, for a column of a wrong size, and for a request without any feature of
        the recipe.
        """
        self._note_unknown(requests)
        sizes = np.fromiter((len(r.items) for r in requests), np.int64, len(requests))
        viewer: dict[str, Anything | Ragged] = {}
        candidate: dict[str, Anything | Ragged] = {}
        for slot in self.layout.viewer:
            columns = [_column(r.viewer, slot.feature, 1) for r in requests]
            if isinstance(slot.feature, Multi | History):
                viewer[slot.feature.name] = _ragged(columns)
            else:
                viewer[slot.feature.name] = _single(columns, slot.feature, requests, np.ones_like(sizes))
        for dense in self.layout.viewer_dense:
            columns = [_column(r.viewer, dense.feature, 1) for r in requests]
            viewer[dense.feature.name] = _single(columns, dense.feature, requests, np.ones_like(sizes))
        of_candidate = *self.layout.scores, *(dense.feature for dense in self.layout.candidate_dense)
        for feature in of_candidate:
            columns = [_column(r.candidates, feature, len(r.items)) for r in requests]
            candidate[feature.name] = _single(columns, feature, requests, sizes)
        for slot in self.layout.candidate:
            columns = [_column(r.candidates, slot.feature, len(r.items)) for r in requests]
            if isinstance(slot.feature, Multi):
                counts = _counts(requests, slot, sizes)
                ids = _ids(columns, slot, requests, counts, sizes)
                candidate[slot.feature.name] = Ragged(ids, counts)
            else:
                candidate[slot.feature.name] = _single(columns, slot.feature, requests, sizes)
        return self.encode_columns(sizes, viewer, candidate)

    def _note_unknown(self, requests: Sequence[Request]) -> None:
        names = self._names
        for request in requests:
            viewer, candidates = names[0] - request.viewer.keys(), names[1] - request.candidates.keys()
            if viewer or candidates:
                if len(viewer) + len(candidates) == len(names[0]) + len(names[1]):
                    held = ", ".join(sorted({*request.viewer, *request.candidates})) or "none"
                    raise InputError(
                        "none of the recipe's features is among the columns of request "
                        f"{request.event_id!r}; it holds {held}"
                    )
                self.unknown.update((*viewer, *candidates))

    def encode_columns(
        self, sizes: I64, viewer: Mapping[str, Anything | Ragged], candidate: Mapping[str, Anything | Ragged]
    ) -> Rows:
        """Return the rows of requests whose features are given as columns, request after request.

        `sizes` is the number of candidates of each request. A viewer column holds an int64 id, a float32
        number or a float32 vector per request, a candidate column one per candidate. Histories and
        multi-valued features are ragged. Raises KeyError for a feature of the layout without a column.
        """
        viewer_BW = np.zeros((len(sizes), _width(self.layout.viewer)), np.int64)
        candidate_NV = np.zeros((int(sizes.sum()), _width(self.layout.candidate)), np.int64)
        for slots, columns, out in (
            (self.layout.viewer, viewer, viewer_BW),
            (self.layout.candidate, candidate, candidate_NV),
        ):
            for slot in slots:
                column = columns[slot.feature.name]
                if isinstance(column, Ragged):
                    self._fill_ragged(slot, column.ids, column.counts, out)
                else:
                    self._fill(slot, column, out)
        score_NS = np.zeros((len(candidate_NV), len(self.layout.scores)), np.float32)
        for number, score in enumerate(self.layout.scores):
            score_NS[:, number] = candidate[score.name]
        layout, dense = self.layout, None
        if layout.viewer_dense or layout.candidate_dense:
            dense = DenseRows(
                _side_by_side(layout.viewer_dense, viewer, len(sizes)),
                _side_by_side(layout.candidate_dense, candidate, len(candidate_NV)),
            )
        return Rows(viewer_BW, candidate_NV, np.repeat(np.arange(len(sizes)), sizes), score_NS, dense)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the owners of the rows, and the collisions counted."""
        counts = [[c.lookups, c.collided, c.taken] for c in self.collisions.values()]
        return {"owner": self.owner, "owned": self.owned, "collisions": np.array(counts, np.int64)}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self.owner, self.owned = state["owner"].astype(np.int64), state["owned"].astype(np.bool_)
        for collisions, row in zip(self.collisions.values(), state["collisions"].tolist(), strict=True):
            collisions.lookups, collisions.collided, collisions.taken = row

    def _fill(self, slot: Slot, values: Anything, out: I64) -> None:
        if isinstance(slot.feature, Numeric):
            out[:, slot.start] = _interval_rows(slot, values)
        else:
            out[:, slot.start] = self._hash(slot, values)

    def _fill_ragged(self, slot: Slot, ids: I64, counts: I64, out: I64) -> None:
        ends = np.cumsum(counts)
        used, valid = _padded(slot, ends - counts, counts)
        out[:, slot.start : slot.stop][valid] = self._hash(slot, ids[used])

    def _hash(self, slot: Slot, ids: I64) -> I64:
        rows = _hash_rows(slot, ids)
        if not isinstance(slot.feature, History):
            collisions = self.collisions[slot.feature.name]
            fresh = ~self.owned[rows]
            if fresh.any():
                self.owner[rows[fresh]] = ids[fresh]
                self.owned[rows[fresh]] = True
                table = self.owned[slot.offset : slot.offset + slot.num_rows]
                collisions.taken = int(np.count_nonzero(table))
            collisions.lookups += len(ids)
            collisions.collided += int(np.count_nonzero(self.owner[rows] != ids))
        return rows


class _SideEncoder:
    """Turns the raw values of one side into the rows that `Encoder` returns for the same values.

    For serving: the single ids of all candidates are hashed in one operation, and nothing is counted.
    """

    def __init__(self, layout: Layout, features: Sequence[Feature], side: Side) -> None:
        slots = {s.feature.name: s for s in (layout.viewer if side == "viewer" else layout.candidate)}
        shape = Shape.of(features, side)
        self._width = _width(layout.viewer if side == "viewer" else layout.candidate)
        singles = [slots[f.name] for f in shape.singles]
        self._place_K = np.array([s.start for s in singles], np.int64)
        self._offset_K = np.array([s.offset for s in singles], np.int64)
        self._salt_K = np.array([s.salt for s in singles], np.uint64)
        self._size_K = np.array([s.num_rows for s in singles], np.uint64)
        self._numbers = [(m, slots[f.name]) for m, f in enumerate(shape.numbers) if f.name in slots]
        self._scores = [m for m, f in enumerate(shape.numbers) if isinstance(f, Score)]
        self._lists = [slots[f.name] for f in shape.lists]
        self._dense = layout.viewer_dense if side == "viewer" else layout.candidate_dense
        self._number_of = {f.name: m for m, f in enumerate(shape.numbers)}
        self._vector_of = {f.name: n for n, f in enumerate(shape.vectors)}

    def encode(self, columns: Columns) -> I64:
        """Return the embedding rows of each row of values."""
        rows_NW = np.zeros((len(columns), self._width), np.int64)
        if len(self._place_K):
            hashed_NK = mix(columns.ids_NK, self._salt_K) % self._size_K
            rows_NW[:, self._place_K] = hashed_NK.astype(np.int64) + self._offset_K
        for m, slot in self._numbers:
            rows_NW[:, slot.start] = _interval_rows(slot, columns.numbers_NM[:, m])
        for slot, (ids_NL, count_N) in zip(self._lists, columns.lists, strict=True):
            first_N = np.arange(len(columns)) * ids_NL.shape[1]
            used, valid = _padded(slot, first_N, count_N)
            rows_NW[:, slot.start : slot.stop][valid] = _hash_rows(slot, ids_NL.ravel()[used])
        return rows_NW

    def scores(self, columns: Columns) -> F32:
        """Return the scores of each row of values."""
        return columns.numbers_NM[:, self._scores]

    def dense(self, columns: Columns) -> F32:
        """Return the dense features of each row of values."""
        by_name: dict[str, Anything | Ragged] = {
            name: columns.numbers_NM[:, number] for name, number in self._number_of.items()
        }
        by_name |= {name: columns.vectors[number] for name, number in self._vector_of.items()}
        return _side_by_side(self._dense, by_name, len(columns))


class ServingEncoder:
    """Encodes the raw values of both sides for serving, as `Encoder` encodes the same values when logged."""

    def __init__(self, features: Sequence[Feature], row_salt: int) -> None:
        layout = Layout.of(features, row_salt)
        self.viewer_shape = Shape.of(features, "viewer")
        self.candidate_shape = Shape.of(features, "candidate")
        self._has_dense = bool(layout.viewer_dense or layout.candidate_dense)
        self._viewer = _SideEncoder(layout, features, "viewer")
        self._candidate = _SideEncoder(layout, features, "candidate")

    def encode(self, viewer: Columns, candidates: Columns, request_N: I64 | None = None) -> Rows:
        """Return the embedding rows of one viewer's candidates.

        `request_N` says which request each candidate belongs to, in order from 0; without it there is one.
        """
        if request_N is None:
            request_N = np.zeros(len(candidates), np.int64)
        num_requests = int(request_N[-1]) + 1 if len(request_N) else 1
        one_B = np.zeros(num_requests, np.int64)
        return self.encode_requests(viewer, candidates, request_N, one_B)

    def encode_requests(
        self, viewer: Columns, candidates: Columns, request_N: I64, viewer_B: I64 | None = None
    ) -> Rows:
        """Return the embedding rows of several requests; `viewer_B` names the row of each one's viewer.

        Without it each request has a viewer row of its own.
        """
        viewer_BW = self._viewer.encode(viewer)
        viewer_BW = viewer_BW if viewer_B is None else viewer_BW[viewer_B]
        scores, dense = self._candidate.scores(candidates), None
        if self._has_dense:
            viewer_BX = self._viewer.dense(viewer)
            viewer_BX = viewer_BX if viewer_B is None else viewer_BX[viewer_B]
            dense = DenseRows(viewer_BX, self._candidate.dense(candidates))
        return Rows(viewer_BW, self._candidate.encode(candidates), request_N, scores, dense)


def _side_by_side(slots: Sequence[DenseSlot], columns: Mapping[str, Anything | Ragged], num_rows: int) -> F32:
    values_RX = np.zeros((num_rows, slots[-1].stop if slots else 0), np.float32)
    for slot in slots:
        column = columns[slot.feature.name]
        assert not isinstance(column, Ragged)
        values_RX[:, slot.start : slot.stop] = column.reshape(num_rows, -1)
    return values_RX


def _interval_rows(slot: Slot, values: F32) -> I64:
    assert isinstance(slot.feature, Numeric)
    interval = np.searchsorted(np.asarray(slot.feature.fixed, FLOAT), values, side="right") + 1
    rows: I64 = slot.offset + np.where(np.isnan(values), 0, interval)
    return rows


def _hash_rows(slot: Slot, ids: I64) -> I64:
    hashed = mix(ids, np.uint64(slot.salt)) % np.uint64(slot.num_rows)
    return slot.offset + hashed.astype(np.int64)


def _padded(slot: Slot, first_R: I64, count_R: I64) -> tuple[I64, Bool]:
    """Cut lists to the slot's width: histories from their newest id backwards, other lists from their start.

    List r has `count_R[r]` ids from place `first_R[r]` on. Returns the places of the ids used, and a mask of
    where they go.
    """
    place = np.arange(slot.stop - slot.start)
    recent = isinstance(slot.feature, History)
    source = (first_R + count_R - 1)[:, None] - place if recent else first_R[:, None] + place
    valid = place < count_R[:, None]
    return source[valid], valid


def _width(slots: tuple[Slot, ...]) -> int:
    return slots[-1].stop if slots else 0


def _column(columns: dict[str, bytes], feature: Feature, size: int) -> bytes:
    """Return the column of a feature, with values for unknown if it was logged without."""
    column = columns.get(feature.name)
    if column is not None:
        return column
    if isinstance(feature, Categorical):
        return pack_ids([UNKNOWN] * size)
    if isinstance(feature, Number | Vector):
        return pack_floats(np.full(size * _floats_of(feature), np.nan))
    return b""


def _single(columns: list[bytes], feature: Feature, requests: Sequence[Request], sizes: I64) -> Anything:
    """Join columns with one value per row. Raises InputError naming the request with a wrong size."""
    is_float = isinstance(feature, Number | Vector)
    kind, num = (FLOAT, _floats_of(feature)) if is_float else (ID, 1)
    if list(map(len, columns)) != (kind.itemsize * num * sizes).tolist():
        _refuse_sizes(columns, feature, requests, kind.itemsize * num * sizes)
    return np.frombuffer(b"".join(columns), kind)


def _floats_of(feature: Feature) -> int:
    return feature.dim if isinstance(feature, Vector) else 1


def _ragged(columns: list[bytes]) -> Ragged:
    counts = np.fromiter(map(len, columns), np.int64, len(columns)) // ID.itemsize
    return Ragged(np.frombuffer(b"".join(columns), ID), counts)


def _counts(requests: Sequence[Request], slot: Slot, sizes: I64) -> I64:
    name = slot.feature.name
    columns = [
        r.lengths.get(name, b"") if name in r.candidates else bytes(COUNT.itemsize * len(r.items))
        for r in requests
    ]
    joined = b"".join(columns)
    if list(map(len, columns)) != (COUNT.itemsize * sizes).tolist():
        _refuse_sizes(columns, slot.feature, requests, COUNT.itemsize * sizes, " of lengths")
    return np.frombuffer(joined, COUNT).astype(np.int64)


def _ids(columns: list[bytes], slot: Slot, requests: Sequence[Request], counts: I64, sizes: I64) -> I64:
    totals = np.add.reduceat(counts, np.cumsum(sizes) - sizes)
    if list(map(len, columns)) != (ID.itemsize * totals).tolist():
        _refuse_sizes(columns, slot.feature, requests, ID.itemsize * totals)
    return np.frombuffer(b"".join(columns), ID)


def _refuse_sizes(
    columns: list[bytes], feature: Feature, requests: Sequence[Request], sizes: I64, what: str = ""
) -> None:
    for column, request, size in zip(columns, requests, sizes, strict=True):
        if len(column) != size:
            raise InputError(
                f"feature {feature.name!r} of request {request.event_id!r}: got {len(column)} bytes"
                f"{what}, expected {size} for {len(request.items)} candidates"
            )

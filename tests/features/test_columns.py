"""Raw values as arrays: what a live request gathers is what it logs and what a replay encodes."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.errors import InputError
from easq.features.columns import UNKNOWN, Columns, List, Shape, empty, stack, unpack
from easq.features.encode import Encoder, ServingEncoder
from easq.log.events import Request
from easq.recipe.features import Categorical, Feature, History, Multi, Numeric, Vector

FEATURES: tuple[Feature, ...] = (
    Categorical(name="user", side="viewer", rows=97),
    Multi(name="groups", side="viewer", rows=31, length=2),
    Numeric(name="age", side="viewer", boundaries=(18.0, 40.0)),
    Categorical(name="item", side="candidate", rows=1000),
    Numeric(name="seconds", side="candidate", boundaries=(5.0, 10.0, 60.0)),
    Multi(name="tags", side="candidate", rows=50, length=3),
    Categorical(name="author", side="candidate", rows=7),
    History(name="recent", of="item", length=4),
    Numeric(name="height", side="viewer", standardized=True),
    Vector(name="content", side="candidate", dim=3),
    Numeric(name="loudness", side="candidate", boundaries="quantiles"),
    Vector(name="taste", side="viewer", dim=2),
    Vector(name="cover", side="candidate", dim=1),
)
VIEWER, CANDIDATE = Shape.of(FEATURES, "viewer"), Shape.of(FEATURES, "candidate")
ids = st.integers(-(1 << 63), (1 << 63) - 1)
numbers = st.floats(width=32, allow_nan=True)


def values(shape: Shape, num: int) -> st.SearchStrategy[Columns]:
    def rows(of: st.SearchStrategy[object], width: int) -> st.SearchStrategy[list[list[object]]]:
        row = st.lists(of, min_size=width, max_size=width)
        return st.lists(row, min_size=num, max_size=num)

    def filled(length: int) -> st.SearchStrategy[List]:
        return st.lists(st.lists(ids, max_size=length + 2), min_size=num, max_size=num).map(_list)

    def make(
        singles: list[object], floats: list[object], vectors: list[list[object]], *lists: List
    ) -> Columns:
        return Columns(
            np.array(singles, np.int64).reshape(num, -1),
            np.array(floats, np.float32).reshape(num, -1),
            lists,
            tuple(
                np.array(values, np.float32).reshape(num, f.dim)
                for f, values in zip(shape.vectors, vectors, strict=True)
            ),
        )

    lists = [filled(f.length) for f in shape.lists]
    vectors = st.tuples(*(rows(numbers, f.dim) for f in shape.vectors))
    return st.builds(make, rows(ids, len(shape.singles)), rows(numbers, len(shape.numbers)), vectors, *lists)


def _list(entries: list[list[int]]) -> List:
    count_N = np.array([len(e) for e in entries], np.int64)
    ids_NL = np.zeros((len(entries), max(1, int(count_N.max(initial=0)))), np.int64)
    for row, entry in zip(ids_NL, entries, strict=True):
        row[: len(entry)] = entry
    return List(ids_NL, count_N)


def request(viewer: Columns, candidates: Columns) -> Request:
    packed, lengths = candidates.pack(CANDIDATE)
    return Request(
        event_id="r",
        user_id="u",
        ts=0,
        items=[f"i{n}" for n in range(len(candidates))],
        viewer=viewer.pack(VIEWER)[0],
        candidates=packed,
        lengths=lengths,
    )


@given(
    viewer=values(VIEWER, 1),
    candidates=st.integers(1, 5).flatmap(lambda n: values(CANDIDATE, n)),
    row_salt=st.integers(0, (1 << 62) - 1),
)
def test_serving_encodes_as_training_does(viewer: Columns, candidates: Columns, row_salt: int) -> None:
    trained = Encoder(FEATURES, row_salt).encode([request(viewer, candidates)])
    served = ServingEncoder(FEATURES, row_salt).encode(viewer, candidates)
    assert np.array_equal(served.viewer_BW, trained.viewer_BW)
    assert np.array_equal(served.candidate_NV, trained.candidate_NV)
    assert np.array_equal(served.request_N, trained.request_N)
    assert served.dense is not None
    assert trained.dense is not None
    for one, other in zip(served.dense, trained.dense, strict=True):
        np.testing.assert_array_equal(one, other)
    columns = [candidates.vectors[0], candidates.numbers_NM[:, [1]], candidates.vectors[1]]
    np.testing.assert_array_equal(trained.dense.candidate_NY, np.concatenate(columns, 1))


@given(candidates=st.integers(1, 5).flatmap(lambda n: values(CANDIDATE, n)))
def test_logged_values_come_back(candidates: Columns) -> None:
    back = unpack(CANDIDATE, *candidates.pack(CANDIDATE), len(candidates))
    assert back.pack(CANDIDATE) == candidates.pack(CANDIDATE)


def test_nothing_known_is_unknown_and_can_be_encoded() -> None:
    nothing = empty(CANDIDATE, 2)
    assert (nothing.ids_NK == UNKNOWN).all()
    assert np.isnan(nothing.numbers_NM).all()
    assert all(np.isnan(vector_ND).all() for vector_ND in nothing.vectors)
    rows = ServingEncoder(FEATURES, 0).encode(empty(VIEWER, 1), nothing).candidate_NV
    assert np.array_equal(rows[0], rows[1])


def test_rows_are_taken_with_their_lists() -> None:
    lists = (List(np.array([[1, 2], [3, 0]]), np.array([2, 1])),)
    both = Columns(np.array([[1], [2]]), np.zeros((2, 0), np.float32), lists)
    assert both.take(np.array([1])).lists[0].ids_NL.tolist() == [[3, 0]]


@settings(max_examples=15)
@given(data=st.data())
def test_stacked_rows_are_the_rows_one_after_another(data: st.DataObject) -> None:
    parts = [data.draw(values(CANDIDATE, num)) for num in (2, 1, 3)]
    stacked = stack(parts)
    start = 0
    for part in parts:
        taken = stacked.take(np.arange(start, start + len(part)))
        assert taken.pack(CANDIDATE) == part.pack(CANDIDATE)
        start += len(part)


def test_what_a_request_lacks_is_unknown_and_a_vector_of_another_length_is_refused() -> None:
    whole = request(empty(VIEWER, 1), empty(CANDIDATE, 2))
    known = {name: column for name, column in whole.candidates.items() if name != "content"}
    rows = Encoder(FEATURES, 0).encode([msgspec.structs.replace(whole, candidates=known)])
    assert rows.dense is not None
    assert np.isnan(rows.dense.candidate_NY).all()
    short = whole.candidates | {"content": b"\0" * 16}
    with pytest.raises(InputError, match="feature 'content' of request 'r': got 16 bytes, expected 24 for 2"):
        Encoder(FEATURES, 0).encode([msgspec.structs.replace(whole, candidates=short)])

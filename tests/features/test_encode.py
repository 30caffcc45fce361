from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.errors import InputError
from easq.features.columns import Shape, unpack
from easq.features.encode import Encoder
from easq.log.events import Request
from easq.log.packing import pack_counts, pack_floats, pack_ids
from easq.recipe.features import Categorical, History, Multi, Numeric

FEATURES = (
    Categorical(name="user", side="viewer", rows=1000),
    Multi(name="tags", side="candidate", rows=1000, length=2),
    Categorical(name="item", side="candidate", rows=1000),
    Numeric(name="length", side="candidate", boundaries=(1.0, 2.0)),
    History(name="recent", of="item", length=3),
)


def request(key: str = "r", items: int = 2, **changes: object) -> Request:
    columns = {
        "viewer": {"user": pack_ids([7]), "recent": pack_ids([1, 2, 3, 4])},
        "candidates": {
            "item": pack_ids(range(items)),
            "length": pack_floats([0.5, float("nan")][:items]),
            "tags": pack_ids([10, 11, 12]),
        },
        "lengths": {"tags": pack_counts([3, 0][:items])},
    }
    columns.update(changes)  # type: ignore[arg-type]
    return Request(event_id=key, user_id="u", ts=1, items=[str(i) for i in range(items)], **columns)  # type: ignore[arg-type]


def column(encoder: Encoder, name: str) -> slice:
    slots = {s.feature.name: s for side in (encoder.layout.viewer, encoder.layout.candidate) for s in side}
    return slice(slots[name].start, slots[name].stop)


def test_history_shares_its_targets_rows_newest_first_and_cut() -> None:
    encoder = Encoder(FEATURES, 0)
    rows = encoder.encode([request(), request("s", viewer={"user": pack_ids([8]), "recent": pack_ids([1])})])
    recent = rows.viewer_BW[:, column(encoder, "recent")]
    items = encoder.encode(
        [request(candidates={**request().candidates, "item": pack_ids([4, 3])})]
    ).candidate_NV[:, column(encoder, "item")]
    assert recent[0, :2].tolist() == items[:, 0].tolist()
    assert recent[1, 1:].tolist() == [0, 0]


def test_lists_are_cut_and_padded_with_row_zero() -> None:
    encoder = Encoder(FEATURES, 0)
    tags = encoder.encode([request()]).candidate_NV[:, column(encoder, "tags")]
    assert (tags[0] > 0).all()
    assert tags[1].tolist() == [0, 0]


@given(st.floats(-10, 10) | st.just(float("nan")))
def test_numbers_fall_into_their_interval(value: float) -> None:
    encoder = Encoder(FEATURES, 0)
    changed = {**request().candidates, "length": pack_floats([value, value])}
    rows = encoder.encode([request(candidates=changed)]).candidate_NV[:, column(encoder, "length")]
    slot = next(s for s in encoder.layout.candidate if s.feature.name == "length")
    kind = np.float32(value)
    expected = 0 if np.isnan(kind) else 1 + (kind >= 1) + (kind >= 2)
    assert rows[0, 0] == slot.offset + expected


def test_features_never_share_rows() -> None:
    encoder = Encoder(FEATURES, 0)
    slots = [s for side in (encoder.layout.viewer, encoder.layout.candidate) for s in side]
    tables = sorted({(s.offset, s.offset + s.num_rows) for s in slots})
    assert tables[0][0] == 1
    assert all(left[1] == right[0] for left, right in pairwise(tables))
    assert tables[-1][1] == encoder.layout.num_rows


def test_who_does_not_know_the_salt_cannot_choose_an_id_that_shares_a_row() -> None:
    feature = Categorical(name="item", side="candidate", rows=16_384)

    def rows(ids: np.ndarray, row_salt: int) -> np.ndarray:
        column = {"item": pack_ids(ids)}
        names = [str(i) for i in range(len(ids))]
        request = Request(event_id="r", user_id="u", ts=1, items=names, viewer={}, candidates=column)
        return Encoder([feature], row_salt).encode([request]).candidate_NV[:, 0]

    best, ids = np.array([7]), np.arange(1000, 400_000)
    chosen = ids[rows(ids, 0) == rows(best, 0)]
    assert len(chosen) > 10
    for row_salt in (1, 12345, (1 << 62) - 1):
        assert (rows(chosen, row_salt) == rows(best, row_salt)).mean() < 0.1


def test_collisions_are_counted_as_they_are() -> None:
    encoder = Encoder([Categorical(name="item", side="candidate", rows=50)], 0)
    ids = np.random.default_rng(3).integers(0, 200, (30, 20))
    owner: dict[int, int] = {}
    collided = 0
    for row in ids:
        unique = Request(
            event_id="r",
            user_id="u",
            ts=1,
            items=[str(i) for i in range(20)],
            viewer={},
            candidates={"item": pack_ids(row)},
        )
        rows = encoder.encode([unique]).candidate_NV[:, 0]
        fresh = {int(r): int(i) for r, i in zip(rows, row, strict=True) if int(r) not in owner}
        owner |= fresh
        collided += sum(owner[int(r)] != int(i) for r, i in zip(rows, row, strict=True))
    counted = encoder.collisions["item"]
    assert (counted.lookups, counted.collided, counted.taken) == (600, collided, len(owner))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"viewer": {"other": b""}, "candidates": {}},
            "none of the recipe's features is among the columns of request 'r'; it holds other",
        ),
        (
            {"viewer": {"user": pack_ids([7, 8]), "recent": b""}},
            "feature 'user' of request 'r': got 16 bytes",
        ),
        (
            {"candidates": {**request().candidates, "item": pack_ids([1])}},
            "feature 'item' of request 'r': got 8 bytes, expected 16 for 2 candidates",
        ),
        ({"lengths": {}}, "feature 'tags' of request 'r': got 0 bytes of lengths, expected 4"),
        (
            {"lengths": {"tags": pack_counts([1, 1])}},
            "feature 'tags' of request 'r': got 24 bytes, expected 16",
        ),
    ],
)
def test_column_that_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        Encoder(FEATURES, 0).encode([request("good"), request(**changes)])
    assert message in str(error.value)


def test_state_round_trip_keeps_owners_and_counts() -> None:
    first, second = Encoder(FEATURES, 0), Encoder(FEATURES, 0)
    first.encode([request()])
    second.restore(first.state())
    assert second.collisions == first.collisions
    assert (second.owner == first.owner).all()


@pytest.mark.parametrize("name", [feature.name for feature in FEATURES])
def test_a_feature_that_a_request_lacks_is_unknown_and_another_is_ignored(name: str) -> None:
    whole = request()
    without = request(
        viewer={k: v for k, v in whole.viewer.items() if k != name} | {"gone": b"\0" * 8},
        candidates={k: v for k, v in whole.candidates.items() if k != name} | {"gone too": b"\0" * 16},
        lengths={k: v for k, v in whole.lengths.items() if k != name},
    )
    encoder = Encoder(FEATURES, 0)
    rows = encoder.encode([without, whole])
    assert encoder.unknown == {name: 1}
    viewer, candidate = (
        (Shape.of(FEATURES, "viewer"), "viewer"),
        (Shape.of(FEATURES, "candidate"), "candidate"),
    )
    kinds = ((*viewer, whole.viewer, 1), (*candidate, whole.candidates, len(whole.items)))
    for shape, side, columns, size in kinds:
        known = unpack(shape, columns, whole.lengths, size)
        lacking = unpack(shape, {k: v for k, v in columns.items() if k != name}, without.lengths, size)
        assert (len(lacking), len(lacking.lists)) == (len(known), len(shape.lists))
        # What is logged today of unknown values gives the same rows.
        if name in shape.names:
            packed, lengths = lacking.pack(shape)
            again = request(**_with(whole, side, packed, lengths))
            assert (Encoder(FEATURES, 0).encode([again, whole]).viewer_BW == rows.viewer_BW).all()
            assert (Encoder(FEATURES, 0).encode([again, whole]).candidate_NV == rows.candidate_NV).all()


def _with(
    whole: Request, side: str, packed: dict[str, bytes], lengths: dict[str, bytes]
) -> dict[str, object]:
    if side == "viewer":
        return {"viewer": packed}
    return {"candidates": packed, "lengths": lengths}

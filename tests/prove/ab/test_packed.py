import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.log.packing import FLOAT, pack_floats
from easq.prove.ab import packed
from easq.prove.ab.packed import reported_values

NAMES = ("like", "play_ms", "never")
NUMBERS = st.integers(-3, 3).map(float)
COLUMNS = st.dictionaries(st.sampled_from(["like", "play_ms", "x", "other"]), st.integers(0, 4), max_size=4)


def raw(columns: dict[str, bytes]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(columns))


def one_by_one(reports: list[tuple[int, dict[str, bytes]]]) -> tuple[list[list[float]], list[bool]]:
    rows, rights = [], []
    for size, columns in reports:
        right = all(len(columns.get(n, b"")) in (0, FLOAT.itemsize * size) for n in NAMES)
        rights.append(right)
        for place in range(size):
            values = [np.frombuffer(columns.get(n, b"") if right else b"", FLOAT) for n in NAMES]
            rows.append([float(v[place]) if len(v) else 0.0 for v in values])
    return rows, rights


@given(st.lists(st.tuples(st.integers(0, 4), COLUMNS, st.integers(0, 5)), max_size=30))
def test_values_are_those_of_reports_one_by_one(drawn: list[tuple[int, dict[str, int], int]]) -> None:
    reports = [
        (size, {name: pack_floats([seed + n for n in range(num)]) for name, num in columns.items()})
        for size, columns, seed in drawn
    ]
    sizes = np.array([size for size, _ in reports], np.int64)
    value_VK, right_N = reported_values([raw(columns) for _, columns in reports], sizes, NAMES)
    rows, rights = one_by_one(reports)
    assert value_VK.tolist() == rows
    assert right_N.tolist() == rights


def test_more_layouts_than_are_tried_together_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_MOST_LAYOUTS", 3)
    encoded = [raw({f"x{n:03d}": pack_floats([0]), "like": pack_floats([n])}) for n in range(50)]
    value_VK, right_N = reported_values(encoded, np.ones(50, np.int64), NAMES)
    assert value_VK[:, 0].tolist() == list(range(50))
    assert right_N.all()


def test_what_is_no_map_of_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected"):
        reported_values([msgspec.Raw(msgspec.msgpack.encode({"like": 3}))], np.ones(1, np.int64), NAMES)

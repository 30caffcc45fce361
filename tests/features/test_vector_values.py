"""A vector is a list of finite numbers or raw bytes; what is neither is refused with what is allowed."""

from typing import Any

import numpy as np
import pytest

from easq.errors import InputError
from easq.features.vector_values import parse_vectors

PACKED = np.array([0.5, -2, 3], "<f4").tobytes()
UNKNOWN = np.full(3, np.nan, "<f4").tobytes()


def test_a_list_and_bytes_are_the_same_vector() -> None:
    found = parse_vectors([[0.5, -2, 3], PACKED, None, UNKNOWN], 3, 4, "features.v")
    np.testing.assert_array_equal(found[:2], [[0.5, -2, 3]] * 2)
    assert np.isnan(found[2:]).all()
    np.testing.assert_array_equal(parse_vectors(PACKED + UNKNOWN, 3, 2, "v"), found[[0, 2]])
    assert parse_vectors([], 3, 0, "v").shape == (0, 3)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ([1.0, 2.0], "got 2 numbers"),
        ([], "got 0 numbers"),
        ([1.0, "a", 2.0], "got 'a' in a vector"),
        ([1.0, True, 2.0], "got True in a vector"),
        ([1.0, None, 2.0], "got None in a vector"),
        ([1.0, [2.0], 2.0], r"got \[2.0\] in a vector"),
        ([1.0, float("nan"), 2.0], "got nan in a vector"),
        ([1.0, float("-inf"), 2.0], "got -inf in a vector"),
        ([1.0, 1e39, 2.0], "got inf in a vector"),
        ([1.0, 10**400, 2.0], "got a number beyond 32 bits"),
        (PACKED[:8], "got 8 bytes"),
        (np.array([1, np.nan, 2], "<f4").tobytes(), "got nan in a vector"),
        (np.array([1, np.inf, 2], "<f4").tobytes(), "got inf in a vector"),
        ("AAAA", "got 'AAAA'"),
        (7, "got 7"),
        (True, "got True"),
    ],
)
def test_what_is_no_vector_is_refused_with_what_is_allowed(given: Any, got: str) -> None:
    allowed = "3 finite numbers of 32 bits, as a list or as 12 bytes of little-endian float32"
    with pytest.raises(InputError, match=rf"features.v: {got}; allowed: {allowed}"):
        parse_vectors([[1, 2, 3], given], 3, 2, "features.v")


def test_bytes_of_all_rows_have_the_size_of_all_rows() -> None:
    with pytest.raises(InputError, match="v: got 12 bytes; allowed: 24, 12 for each of 2 vectors"):
        parse_vectors(PACKED, 3, 2, "v")
    with pytest.raises(InputError, match="v: got inf in a vector"):
        parse_vectors(PACKED[:8] + np.float32(np.inf).tobytes(), 3, 1, "v")

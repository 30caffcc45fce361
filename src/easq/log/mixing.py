"""Spread 64-bit ids evenly, in every process and on every machine alike."""

import numpy as np
from numpy.typing import NDArray


def mix(ids: NDArray[np.int64], salt: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Spread ids over 64 bits (SplitMix64; Steele et al. 2014), differently by salt."""
    x = ids.view(np.uint64) + salt
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

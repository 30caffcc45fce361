"""Types of NumPy arrays. A name's suffix gives the shape: `score_N` holds N rows, `rate_BC` B by C."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Anything = NDArray[Any]

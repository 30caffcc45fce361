"""A learner that is restored from another's state learns on as the other does, to the bit."""

from collections.abc import Iterable

import numpy as np

from easq.features.batch import Batch
from easq.home.snapshots import State, copy_state, flatten
from easq.learn.learner import Learner


def assert_continues(first: Learner, second: Learner, batches: Iterable[Batch]) -> State:
    """Restore `second` from `first`, let both learn the batches, compare all of their states; return it."""
    second.restore(copy_state(first.state()))
    for batch in batches:
        first.step(batch)
        second.step(batch)
    a, b = flatten(first.state()), flatten(second.state())
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    return a

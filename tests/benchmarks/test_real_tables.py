import numpy as np
import pytest
from real_tables import bend


def test_bent_ranks_have_the_wanted_mean() -> None:
    ratios = np.random.default_rng(1).gamma(0.5, 1.0, 5000)
    power = bend(ratios, 0.9 * ratios.mean())
    bent = np.quantile(ratios, ((np.arange(5000) + 0.5) / 5000) ** power)
    assert power > 1
    assert bent.mean() == pytest.approx(0.9 * ratios.mean(), rel=0.01)

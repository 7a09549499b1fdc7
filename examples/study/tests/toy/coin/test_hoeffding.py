import numpy as np
import pytest
from scipy import stats
from twolayer.theory.toy.coin import hoeffding


@pytest.mark.parametrize("n", [10, 1000])
def test_the_radius_covers_the_binomial_law(n):
    radius = float(hoeffding.radius(n, 0.05))
    assert radius == pytest.approx(np.sqrt(np.log(40) / (2 * n)))
    inside = stats.binom.cdf(n * (0.5 + radius), n, 0.5) - stats.binom.cdf(
        np.ceil(n * (0.5 - radius)) - 1, n, 0.5
    )
    assert inside >= 0.95

import numpy as np
import pytest
from scipy import stats

from engine.statistics import paired_difference


def test_against_worked_numbers():
    a, b = np.array([0.5, 0.7, 0.9, 0.4]), np.array([0.4, 0.4, 0.8, 0.3])
    result = paired_difference(a, b)
    assert result.mean == pytest.approx(0.15)
    low, high = stats.t.interval(0.95, 3, loc=0.15, scale=stats.sem(a - b))
    assert (result.low, result.high) == pytest.approx((low, high))
    assert result.p == pytest.approx(2 / 16)


def test_twelve_pairs_of_one_sign_give_the_exact_smallest_p():
    assert paired_difference(np.linspace(0.1, 0.3, 12), np.zeros(12)).p == pytest.approx(2 / 2**12)


def test_one_pair_proves_nothing():
    result = paired_difference(np.array([0.2]), np.array([0.9]))
    assert result.p == 1
    assert result.low == -np.inf


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="finite values"):
        paired_difference(np.array([0.2, np.nan]), np.array([0.9, 0.1]))

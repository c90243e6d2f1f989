"""Intervals and tests against worked numbers and the formulas they replaced."""

import itertools

import numpy as np
import pytest
from scipy import stats

from engine.statistics import (
    PairingTest,
    bootstrap_interval,
    clusters,
    half_width,
    paired_difference,
    pairing_test,
    proportion_interval,
)


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


def test_bootstrap_intervals_are_numpys_own_draws():
    values = np.random.default_rng(1).normal(size=60)
    rng = np.random.default_rng(5)
    means = values[rng.integers(60, size=(2000, 60))].mean(axis=1)
    expected = pytest.approx(tuple(np.quantile(means, (0.025, 0.975))), abs=1e-12)
    assert (
        bootstrap_interval(
            lambda rows, axis=-1: values[rows].mean(axis=axis), 60, resamples=2000, seed=5
        )
        == expected
    )
    assert (
        bootstrap_interval(lambda rows: values[rows].mean(), 60, resamples=2000, seed=5) == expected
    )


def test_samples_are_resampled_apart():
    a, b = np.random.default_rng(1).normal(size=(2, 500))
    low, high = bootstrap_interval(
        lambda i, j: a[i].mean() - b[j].mean(), 500, 500, resamples=2000, seed=0
    )
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(2 / 500), rel=0.1)


def test_undefined_resamples_are_left_out_and_single_rows_give_none():
    assert bootstrap_interval(
        lambda rows: np.nan if 0 in rows else 1.0, 5, resamples=100, seed=0
    ) == (1.0, 1.0)
    assert bootstrap_interval(lambda rows: np.nan, 5, resamples=100, seed=0) is None
    assert bootstrap_interval(lambda rows: 1.0, 1, resamples=100, seed=0) is None
    assert bootstrap_interval(lambda rows: 1.0, 9, resamples=0, seed=0) is None


def test_clusters_by_name():
    found = clusters(np.array(["b", "a", "b", "c", "a"]))
    assert [rows.tolist() for rows in found] == [[1, 4], [0, 2], [3]]


def test_intervals_of_proportions():
    assert proportion_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-3)
    assert proportion_interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-3)
    tails = stats.beta.ppf([0.025, 0.975], [3, 4], [15, 14])
    assert proportion_interval(3, 17) == pytest.approx(tuple(tails), abs=1e-9), (
        "Clopper and Pearson's formula"
    )
    assert proportion_interval(3, 17, "wilson") == pytest.approx((0.0619, 0.4103), abs=1e-4)
    assert proportion_interval(0, 0) == (0, 1)


@pytest.mark.parametrize("count", [4, 8, 12])
def test_pairings_are_those_of_the_written_out_test(count):
    similarity = np.random.default_rng(count).normal(0, 0.2, (count, count)) + 0.08 * np.eye(count)
    rows, own = np.arange(count), np.trace(similarity) / count
    found = pairing_test(similarity, seed=1)
    if count <= 9:
        orders = np.array(list(itertools.permutations(range(count))))
        expected = (similarity[rows, orders].mean(axis=1) >= own - 1e-12).mean()
        assert found == PairingTest(pytest.approx(expected, abs=1e-12), len(orders), exact=True)
    else:
        orders = np.random.default_rng(0).permuted(np.tile(rows, (99_999, 1)), axis=1)
        expected = (1 + (similarity[rows, orders].mean(axis=1) >= own - 1e-12).sum()) / 100_000
        assert found.p == pytest.approx(
            expected, abs=4 * np.sqrt(2 * expected * (1 - expected) / 100_000)
        )
        assert not found.exact


def test_ties_count_for_chance():
    assert pairing_test(np.full((6, 6), 0.1 + 0.2), 0).p == 1
    assert pairing_test(np.zeros((20, 20)), 0, draws=999).p == 1


def test_the_half_width_of_one_value_is_not_a_number():
    assert np.isnan(half_width(np.array([0.5])))
    assert half_width(np.array([0.0, 1.0])) == pytest.approx(stats.t.ppf(0.975, 1) * 0.5)

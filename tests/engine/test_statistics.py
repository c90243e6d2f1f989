"""Intervals and tests against worked numbers and the formulas they replaced."""

import itertools

import numpy as np
import pytest
from scipy import stats

from engine.statistics import (
    PairingTest,
    auc_difference_interval,
    auc_interval,
    average_of_shares,
    bootstrap_interval,
    calibration_error,
    clusters,
    crossed_share_interval,
    crossed_table,
    crossed_test,
    first_occurrences,
    holm,
    least_keys,
    least_p_of_people,
    least_people,
    mean_interval,
    paired_difference,
    paired_recall,
    pairing_test,
    proportion_interval,
    share_interval,
    tpr_at_fpr,
    worst_of,
)
from engine.statistics.ranking import auc_influence, clustered_variance


def test_against_worked_numbers():
    a = np.array([0.5, 0.7, 0.9, 0.4])
    b = np.array([0.4, 0.4, 0.8, 0.3])
    result = paired_difference(a, b)
    assert result.mean == pytest.approx(0.15)
    low, high = stats.t.interval(0.95, 3, loc=0.15, scale=stats.sem(a - b))
    assert (result.low, result.high) == pytest.approx((low, high))
    assert result.p == pytest.approx(2 / 16)


def test_twelve_pairs_of_one_sign_give_the_exact_smallest_p():
    assert paired_difference(np.linspace(0.1, 0.3, 12), np.zeros(12)).p == pytest.approx(2 / 2**12)


def test_one_pair_and_equal_differences_have_no_interval():
    result = paired_difference(np.array([0.2]), np.array([0.9]))
    assert (result.p, result.n, result.interval, result.low) == (1, 1, None, None)
    few = np.array([0.0, 0.9, 0.5])
    wide = paired_difference(np.zeros(3), few).interval
    kept = paired_difference(np.zeros(3), few, (-1.0, 1.0)).interval
    assert wide.low < -1.0, "Student's t knows no range"
    assert kept == (-1.0, wide.high)
    equal = paired_difference(np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.2, 0.3]))
    assert equal.interval is None
    assert equal.p == equal.least_p == 0.25


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="finite values"):
        paired_difference(np.array([0.2, np.nan]), np.array([0.9, 0.1]))


def test_bootstrap_intervals_are_numpys_own_draws_with_students_tails():
    values = np.random.default_rng(1).normal(size=60)
    rng = np.random.default_rng(5)
    means = values[rng.integers(60, size=(2000, 60))].mean(axis=1)
    tail = stats.norm.cdf(stats.t.ppf(0.025, 59) * np.sqrt(60 / 59))
    assert tail == pytest.approx(0.0217, abs=1e-3)
    expected = pytest.approx(tuple(np.quantile(means, (tail, 1 - tail))), abs=1e-12)
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
    low, high = bootstrap_interval(
        lambda rows: np.nan if 0 in rows else float(rows.max()), 5, resamples=100, seed=0
    )
    assert 1 <= low < high == 4
    assert bootstrap_interval(lambda rows: 1.0, 5, resamples=100, seed=0) is None, "no spread"
    assert bootstrap_interval(lambda rows: np.nan, 5, resamples=100, seed=0) is None
    assert bootstrap_interval(lambda rows: 1.0, 1, resamples=100, seed=0) is None
    assert bootstrap_interval(lambda rows: 1.0, 9, resamples=0, seed=0) is None


def test_clusters_by_name():
    found = clusters(np.array(["b", "a", "b", "c", "a"]))
    assert [rows.tolist() for rows in found] == [[1, 4], [0, 2], [3]]


def test_the_first_of_equal_values():
    assert first_occurrences(np.array(["b", "a", "b", "c", "a"])).tolist() == [0, 1, 3]
    assert first_occurrences(np.array([])).tolist() == []


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
    rows = np.arange(count)
    own = np.trace(similarity) / count
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


def test_means_have_students_interval_within_their_range():
    values = np.array([0.0, 0.2, 0.9, 1.0])
    found = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values) == pytest.approx((found.low, found.high))
    assert mean_interval(values, (0, 1)) == (0, 1)
    assert mean_interval(np.array([0.5])) is None
    assert mean_interval(np.array([0.5, 0.5])) is None


def test_shares_of_units_stay_inside_and_have_a_width():
    assert share_interval(np.zeros(3)) == pytest.approx((0, 0.7076), abs=1e-4)
    assert share_interval(np.ones(6)) == pytest.approx((0.5407, 1), abs=1e-4)
    low, high = share_interval(np.array([0.25, 0.25]))
    assert 0 <= low < 0.25 < high <= 1
    assert share_interval(np.array([0.5])) is None
    with pytest.raises(ValueError, match="from 0 to 1"):
        share_interval(np.array([0.5, np.nan]))


def test_balanced_accuracy_has_a_width_even_if_nothing_is_wrong():
    both = [proportion_interval(40, 40), proportion_interval(60, 60)]
    low, high = average_of_shares([1, 1], both)
    assert 0.94 < low < 0.96
    assert high == 1
    assert average_of_shares([1, 1], [None, both[0]]) is None


def test_delongs_variance_is_the_published_one():
    rng = np.random.default_rng(0)
    label, score = np.repeat([0, 1], [30, 20]), rng.normal(size=50).round(1)
    wins = (score[30:, None] > score[:30]) + 0.5 * (score[30:, None] == score[:30])
    auc, influence = auc_influence(label, score)
    assert auc == pytest.approx(wins.mean())
    expected = wins.mean(axis=1).var(ddof=1) / 20 + wins.mean(axis=0).var(ddof=1) / 30
    assert clustered_variance(influence, label, np.arange(50)) == pytest.approx(expected)
    twice = np.tile(np.arange(50), 2)
    doubled = auc_influence(np.tile(label, 2), np.tile(score, 2))[1]
    assert clustered_variance(doubled, np.tile(label, 2), twice) == pytest.approx(expected), (
        "an image that is there twice adds nothing"
    )


def test_perfect_rankings_are_bounded_by_disjoint_pairs():
    label = np.repeat([0, 1], 20)
    assert auc_interval(label, label.astype(float)) == pytest.approx((0.025 ** (1 / 20), 1))
    assert auc_interval(label, np.zeros(40)).low == pytest.approx(proportion_interval(10, 20).low)
    assert auc_interval(np.array([0, 1, 1]), np.arange(3.0)) is None
    same = auc_difference_interval(label, label * 1.0, label * 1.0)
    assert same.high == -same.low == pytest.approx(1 - 0.025 ** (1 / 20))


def test_rates_want_three_negatives_for_each_one_allowed():
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(2, 1, 50), rng.normal(size=300)
    assert tpr_at_fpr(positives, negatives[:299], 0.01) is None
    found = tpr_at_fpr(positives, negatives, 0.01)
    assert found == (positives > np.sort(negatives)[-4]).mean()
    assert tpr_at_fpr(positives, negatives[:30], 0.1) is not None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_least_numbers_reach_their_level_and_one_less_does_not():
    assert [least_p_of_people(n) for n in (1, 2, 3, 6)] == [1, 0.5, 0.25, 0.03125]
    assert least_people(0.05) == 6
    assert least_people(0.0625) == 5
    assert least_people(0.05, 36) == 11
    assert least_keys(0.001) == 7
    assert least_keys(0.05) == 4
    with pytest.raises(ValueError, match="between 0 and 1"):
        least_keys(0)


def test_recalls_are_compared_by_mcnemars_test():
    a = np.repeat([True, True, False, False], [50, 6, 0, 44])
    b = np.repeat([True, False, True, False], [50, 6, 0, 44])
    found = paired_recall(a, b)
    assert (found.difference, found.gained, found.lost, found.n) == (0.06, 6, 0, 100)
    assert found.p == pytest.approx(2 / 2**6)
    none = paired_recall(a, a)
    assert (none.difference, none.p) == (0, 1)
    assert none.interval == pytest.approx((-0.0362, 0.0362), abs=1e-4)
    with pytest.raises(ValueError, match="same images"):
        paired_recall(a, b[1:])


def test_answers_of_one_person_or_image_have_no_interval():
    ones = np.ones((1, 5))
    assert crossed_share_interval(ones, ones) is None
    assert crossed_share_interval(ones.T, ones.T) is None
    assert crossed_test(ones, ones, 0.5).p is None
    many = np.ones((4, 9))
    assert crossed_share_interval(many, many) == pytest.approx((0.025 ** (1 / 4), 1))
    assert crossed_test(many, many, 0.5).p == 2 / 2**4
    table = crossed_table([7, 7, 3], ["a", "b", "a"], [1, 2, 3])
    assert table.tolist() == [[3, 0], [1, 2]]


def test_calibrated_probabilities_are_at_the_floor():
    rng = np.random.default_rng(0)
    probability = rng.random(600)
    label = (rng.random(600) < probability).astype(int)
    found = calibration_error(label, probability)
    assert found.floor == pytest.approx(0.05, abs=0.01)
    assert not found.above_floor
    wrong = calibration_error(label, np.sqrt(probability))
    assert wrong.above_floor
    assert wrong.rms == pytest.approx(0.19, abs=0.03)


def test_the_worst_of_equals_is_corrected_upwards():
    rng = np.random.default_rng(0)
    lowest, corrected = [], []
    for _ in range(200):
        values = rng.normal(0.9, 0.03, 10)
        again = values + rng.normal(0, 0.03, (200, 10))
        found = worst_of(values, again, [None] * 10)
        assert found.interval is None
        lowest.append(found.value)
        corrected.append(found.corrected)
    assert np.mean(lowest) == pytest.approx(0.854, abs=0.005)
    assert 0.87 < np.mean(corrected) <= 0.905

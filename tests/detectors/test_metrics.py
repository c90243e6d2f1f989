"""Metrics against hand-computed cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import metrics

LABEL = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORE = np.array([0.1, 0.2, 0.4, 0.7, 0.3, 0.7, 0.8, 0.9])


def test_by_hand():
    assert metrics.auc(LABEL, SCORE) == (2 + 3.5 + 4 + 4) / 16, "a tie counts one half"
    assert metrics.accuracy(LABEL, SCORE, 0.5) == 6 / 8
    assert metrics.recall(LABEL, SCORE, 0.7, 1) == 3 / 4, "the threshold itself is generated"
    assert metrics.balanced_accuracy(LABEL, SCORE, 0.5) == 0.75
    many = np.tile(LABEL, 75)
    scored = np.tile(SCORE, 75)
    assert metrics.tpr_at_fpr(many, scored, 0.01) == 0.5
    assert metrics.tpr_at_fpr(many, scored, 0.25) == 0.75
    assert metrics.tpr_at_fpr(LABEL, SCORE, 0.01) is None, "four real images say nothing of 1 %"
    assert metrics.equal_error_rate(LABEL, SCORE) == pytest.approx(0.25)
    assert metrics.brier(np.array([0, 1]), np.array([0.2, 0.9])) == pytest.approx((0.04 + 0.01) / 2)
    assert metrics.log_loss(np.array([0, 1]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_calibration_error_by_hand():
    label = np.array([0, 1, 1, 1])
    probability = np.array([0.9, 0.9, 0.9, 0.1])
    assert metrics.calibration_error(label, probability, 10) == pytest.approx(
        0.75 * abs(0.9 - 2 / 3) + 0.25 * 0.9
    )
    assert metrics.reliability(label, probability, 10) == [
        (pytest.approx(0.1), 1.0, 1),
        (pytest.approx(0.9), pytest.approx(2 / 3), 3),
    ]
    weights = metrics.class_weights(label)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[1:].sum())
    balanced = abs(0.5 * 0.9 + 2 / 6 * (0.9 - 1)) + 1 / 6 * 0.9
    assert metrics.calibration_error(label, probability, 10, balanced=True) == pytest.approx(
        balanced
    )


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=40)


@given(ROWS.filter(lambda rows: len({label for label, _ in rows}) == 2))
def test_auc_is_the_share_of_pairs_in_order(rows):
    label = np.array([a for a, _ in rows])
    score = np.array([float(b) for _, b in rows])
    pairs = [(s > r) + 0.5 * (s == r) for s in score[label == 1] for r in score[label == 0]]
    assert metrics.auc(label, score) == pytest.approx(np.mean(pairs))


def test_ties_are_all_seen():
    label = np.tile([1, 0], 300)
    score = np.repeat(np.arange(300.0), 2)
    assert metrics.tpr_at_fpr(label, score, 0.05) == 0.05
    assert metrics.tpr_at_fpr(label, score, 0.01) == 0.01

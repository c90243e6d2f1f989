"""Ranks, recall and micro average precision against computed values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics.retrieval import (
    MicroAveragePrecision,
    RecallAt,
    micro_average_precision,
    pairs,
    precision_recall,
    ranks,
)
from indexing.matches import scores

TRUTH = np.array([7, 8, 9, -1])
DISTANCES = np.array([[0.2, 0.5, 0.9], [0.4, 0.45, 0.8], [0.3, 0.6, 0.7], [0.35, 0.36, 0.9]])
IDS = np.array([[7, 3, 4], [1, 8, 2], [5, 6, -1], [2, 3, 7]])


@pytest.mark.parametrize(("beta", "expected"), [(1.0, 0.369444), (0.5, 0.425), (0.0, 0.527778)])
def test_known_values(beta, expected):
    found = pairs(scores(DISTANCES, IDS, beta), IDS, TRUTH)
    assert micro_average_precision(*found, how="last") == pytest.approx(expected, abs=1e-6)


def by_definition(values, right, missed):
    """Sum over true pairs of the share of true ones among all that score as much or more."""
    total = sum(right) + missed
    return (
        sum(
            np.mean(right[values >= value])
            for value, good in zip(values, right, strict=True)
            if good
        )
        / total
    )


@settings(max_examples=50)
@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 10_000))
def test_missed_entries_are_never_recalled(count, missed, seed):
    rng = np.random.default_rng(seed)
    values, right = rng.permutation(count).astype(float), rng.random(count) < 0.4
    right[0] = True
    assert micro_average_precision(values, right, missed) == pytest.approx(
        by_definition(values, right, missed)
    )
    precision, recall, _ = precision_recall(values, right, missed)
    assert recall.max() == pytest.approx(right.sum() / (right.sum() + missed))
    assert ((precision >= 0) & (precision <= 1)).all()


def test_a_miss_is_no_hit_however_few_neighbors_are_asked_for():
    assert ranks(IDS, TRUTH).tolist() == [0, 1, -1, -1]
    recall = RecallAt(100)
    recall.update(torch.from_numpy(IDS[:3]), torch.from_numpy(TRUTH[:3]))
    assert float(recall.compute()) == pytest.approx(2 / 3)


def test_batches_come_to_the_whole():
    metric, values = MicroAveragePrecision("last"), torch.from_numpy(scores(DISTANCES, IDS, 1.0))
    for rows in (slice(0, 1), slice(1, 4)):
        metric.update(values[rows], torch.from_numpy(IDS[rows]), torch.from_numpy(TRUTH[rows]))
    assert float(metric.compute()) == pytest.approx(0.369444, abs=1e-6)


def test_without_a_true_pair_there_is_no_precision():
    with pytest.raises(ValueError, match="at least one query"):
        micro_average_precision(np.array([1.0]), np.array([False]), 0)

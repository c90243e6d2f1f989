"""Random studies of figures that select a threshold or a worst case on the data themselves.

See :mod:`benchmarks.simulations`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.simulations import Values, holds
from detectors import metrics
from detectors.scores import Scores
from detectors.uncertainty import oracle_interval, worst_generator
from sentinels.against import rate_interval
from sentinels.decide_config import DecideConfig


def scores_of(label: NDArray[np.int64], logit: Values, generator: NDArray[np.str_]) -> Scores:
    """Make scores of independent images."""
    rows = zip(label.tolist(), logit.tolist(), generator.tolist(), strict=True)
    return Scores.of(
        [{"label": kind, "logit": score, "generator": name} for kind, score, name in rows]
    )


def true_rate(distance: float, rate: float) -> float:
    """Compute the true-positive rate of normal scores at a false-positive rate."""
    return float(norm.cdf(distance + norm.ppf(rate)))


def oracle_rate(rng: np.random.Generator, count: int, distance: float) -> bool:
    """Check the interval of the true-positive rate at 1 % false positives of a detector.

    Args:
        rng: Random generator.
        count: Number of images of each class.
        distance: Distance of the classes' means, in standard deviations.
    """
    label = np.repeat([0, 1], count)
    logit = rng.normal(size=2 * count) + distance * label
    scores = scores_of(label, logit, np.full(2 * count, ""))
    interval = oracle_interval(scores, 0.01, 100, int(rng.integers(2**31)))
    return holds(interval, true_rate(distance, 0.01))


def rate_against_keys(rng: np.random.Generator, keys: int, distance: float) -> bool:
    """Check the interval of the true-positive rate at 10 % false positives against a control.

    Args:
        rng: Random generator.
        keys: Number of keys.
        distance: Distance of both systems' means, in standard deviations.
    """
    scores = rng.normal(0.3 + 0.1 * distance, 0.1, keys)
    others = rng.normal(0.3, 0.1, keys)
    config = DecideConfig(queries=1, seed=int(rng.integers(2**31)))
    return holds(rate_interval(scores, others, config, 10), true_rate(distance, 0.1))


def lowest_auc(
    rng: np.random.Generator, aucs: Values, real: int, images: int
) -> tuple[float, float, tuple[float, float]]:
    """Select the worst of several generators, with its selection repeated in resamples.

    Args:
        rng: Random generator.
        aucs: (G,) true AUC of each generator.
        real: Number of photographs, which all generators are compared with.
        images: Number of images of each generator.

    Returns:
        The lowest AUC as measured, the same corrected for its selection, and its interval.
    """
    label = np.repeat([0, 1], [real, len(aucs) * images])
    names = np.array([f"g{number}" for number in range(len(aucs))])
    generator = np.concatenate([np.full(real, ""), np.repeat(names, images)])
    shift = np.concatenate([np.zeros(real), np.repeat(norm.ppf(aucs) * np.sqrt(2), images)])
    scores = scores_of(label, rng.normal(size=len(label)) + shift, generator)
    slices = {}
    for name in names:
        part = scores.where((generator == name) | (label == 0))
        facts = {"real": real, "generated": images}
        slices[str(name)] = facts | {"auc": metrics.auc(part.label, part.logit)}
    worst = worst_generator(scores, slices, 100, int(rng.integers(2**31)))
    assert worst is not None
    return worst["auc"], worst["corrected_auc"], worst["interval"]


def worst_selected_again(
    rng: np.random.Generator, generators: int, images: int, spread: float
) -> bool:
    """Check the interval and the correction of the lowest AUC of several generators.

    The corrected AUC must lie within the interval that holds the true lowest one.

    Args:
        rng: Random generator.
        generators: Number of generators.
        images: Number of images of each.
        spread: Largest distance of a generator's AUC from 0.9.
    """
    aucs = 0.9 + spread * np.linspace(-1, 1, generators)
    _, corrected, (low, high) = lowest_auc(rng, aucs, 200, images)
    return low <= aucs[0] <= high and low <= corrected <= high

"""Random studies of detectors and of image retrieval; see :mod:`benchmarks.simulations`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.simulations import Values, holds
from engine import statistics as st


def scored(rng: np.random.Generator, count: int, auc: float) -> tuple[NDArray[np.int64], Values]:
    """Draw labels and normal scores of equally many real and generated images.

    Args:
        rng: Random generator.
        count: Number of images of each class.
        auc: True AUC.
    """
    label = np.repeat([0, 1], count)
    return label, rng.normal(size=2 * count) + label * norm.ppf(auc) * np.sqrt(2)


def ranked(rng: np.random.Generator, count: int, auc: float) -> bool:
    """Check the interval of the AUC of normal scores.

    Args:
        rng: Random generator.
        count: Number of images of each class.
        auc: True AUC.
    """
    return holds(st.auc_interval(*scored(rng, count, auc)), auc)


TIED = (np.array([0.55, 0.3, 0.1, 0.05]), np.array([0.1, 0.2, 0.3, 0.4]))
"""Probabilities of four score values for real and for generated images."""


def tied(rng: np.random.Generator, count: int) -> bool:
    """Check the interval of the AUC of scores with four values."""
    real, generated = TIED
    wins = generated * (np.cumsum(real) - real / 2)
    label = np.repeat([0, 1], count)
    score = np.concatenate([rng.choice(4, count, p=part) for part in TIED]).astype(float)
    return holds(st.auc_interval(label, score), float(wins.sum()))


def clustered_ranking(rng: np.random.Generator, clusters: int) -> bool:
    """Check the interval of the AUC of clustered images.

    Each photograph has three reconstructions, which share its effect on the score.
    """
    label = np.tile([0, 1, 1, 1], clusters)
    shared = np.repeat(rng.normal(0, 0.8, clusters), 4)
    score = shared + rng.normal(0, 0.6, 4 * clusters) + 1.5 * label
    units = np.repeat(np.arange(clusters), 4).astype(str)
    return holds(st.auc_interval(label, score, units), float(norm.cdf(1.5 / np.sqrt(2))))


def edited_ranking(rng: np.random.Generator, count: int) -> bool:
    """Check the interval of the change of AUC by an edit."""
    label, score = scored(rng, count, 0.95)
    edited = score + rng.normal(0, 1.0, 2 * count)
    truth = norm.cdf(norm.ppf(0.95) / np.sqrt(2)) - 0.95
    return holds(st.auc_difference_interval(label, edited, score), float(truth))


def balanced_accuracy(rng: np.random.Generator, sizes: tuple[int, int], miss: float) -> bool:
    """Check the interval of a balanced accuracy, the mean of both classes' accuracies.

    Args:
        rng: Random generator.
        sizes: Numbers of real and of generated images.
        miss: Share of real images judged wrong; of generated ones it is three times as large.
    """
    truths = [1 - miss, 1 - 3 * miss]
    right = [rng.random(size) < truth for size, truth in zip(sizes, truths, strict=True)]
    shares = [float(part.mean()) for part in right]
    interval = st.average_of_shares(
        shares, [st.share_interval(part.astype(float)) for part in right]
    )
    return holds(interval, sum(truths) / 2)


def worst_generator(
    rng: np.random.Generator, generators: int, images: int, spread: float = 0.0
) -> bool:
    """Check the interval of the lowest AUC of several generators.

    All are compared with the same 500 photographs.

    Args:
        rng: Random generator.
        generators: Number of generators.
        images: Number of images of each generator.
        spread: Largest distance of a generator's AUC from 0.9.
    """
    real = rng.normal(size=500)
    aucs = 0.9 + spread * np.linspace(-1, 1, generators)
    level = st.simultaneous(generators)
    intervals = []
    for auc in aucs:
        label = np.repeat([0, 1], [500, images])
        generated = rng.normal(norm.ppf(auc) * np.sqrt(2), 1, images)
        score = np.concatenate([real, generated])
        intervals.append(st.auc_interval(label, score, confidence=level))
    worst = st.worst_of(np.zeros(generators), np.empty((0, generators)), intervals)
    return holds(worst.interval, aucs[0])


def calibrated(rng: np.random.Generator, images: int, shape: float) -> bool:
    """Check if perfectly calibrated probabilities have an error above the floor.

    Args:
        rng: Random generator.
        images: Number of images.
        shape: Both parameters of the beta distribution of the probabilities.
    """
    probability = rng.beta(shape, shape, images)
    label = (rng.random(images) < probability).astype(int)
    return st.calibration_error(label, probability, seed=int(rng.integers(2**31))).above_floor


def found_images(
    rng: np.random.Generator, images: int, gain: float, lost: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw the images that each of two systems finds.

    Args:
        rng: Random generator.
        images: Number of images.
        gain: True difference of the recalls.
        lost: Probability that only the second system finds an image.

    Returns:
        (images,) True for found images, for each system.
    """
    fate = rng.choice(4, images, p=[0.5, gain + lost, lost, 0.5 - gain - 2 * lost])
    return (fate == 0) | (fate == 1), (fate == 0) | (fate == 2)


def recall_gain(rng: np.random.Generator, images: int, gain: float) -> bool:
    """Check the interval of a gain of recall.

    Args:
        rng: Random generator.
        images: Number of images.
        gain: True difference of the recalls.
    """
    return holds(st.paired_recall(*found_images(rng, images, gain, 0.0)).interval, gain)


def recall_tested(rng: np.random.Generator, images: int, gain: float) -> bool:
    """Run McNemar's test at level 0.05.

    Args:
        rng: Random generator.
        images: Number of images.
        gain: True difference of the recalls.
    """
    return st.paired_recall(*found_images(rng, images, gain, 0.05)).p <= 0.05


def mean_of_edits(rng: np.random.Generator, images: int) -> bool:
    """Check the interval of mean recall over images with fifteen edits each."""
    rates = rng.beta(2, 2, (images, 1))
    return holds(st.share_interval((rng.random((images, 15)) < rates).mean(axis=1)), 0.5)


def resampled_mean(rng: np.random.Generator, units: int) -> bool:
    """Check the bootstrap interval of the mean of skewed values."""
    values = rng.exponential(size=units)
    interval = st.bootstrap_interval(
        lambda rows, axis=-1: values[rows].mean(axis=axis),
        units,
        resamples=400,
        seed=int(rng.integers(2**31)),
    )
    return holds(interval, 1.0)

"""Expected calibration error and its floor under perfect calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Values

BINS = 15
"""Default number of equal-width bins of the expected calibration error."""


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error and its distribution under perfect calibration.

    Attributes:
        error: Mean absolute gap between probability and share of generated images, over bins.
        floor: Mean error if these probabilities were perfectly calibrated.
        floor_high: 97.5 % quantile of the error if they were perfectly calibrated.
        rms: Debiased root mean square error (Kumar et al. 2019); 0 if chance explains all of it.
        n: Number of images.
    """

    error: float
    floor: float
    floor_high: float
    rms: float
    n: int

    @property
    def above_floor(self) -> bool:
        """Return True if the error exceeds 97.5 % of errors under perfect calibration."""
        return self.error > self.floor_high


def calibration_error(
    label: NDArray[np.int64],
    probability: Values,
    weights: Values | None = None,
    bins: int = BINS,
    resamples: int = 200,
    seed: int = 0,
) -> CalibrationError:
    """Measure the expected calibration error and its floor.

    The floor is simulated: labels are drawn from the given probabilities.

    Unit: one image.
    Assumes: independent images.
    Fails: equal-width bins hide errors within a bin. With class weights the floor treats the
    probabilities as if they were meant for balanced classes, and is only rough.

    Args:
        label: (n,) 1 generated, 0 real.
        probability: (n,) P(generated), 0 to 1.
        weights: (n,) weight of each image; equal if None.
        bins: Number of bins.
        resamples: Number of simulated label sets.
        seed: Seed of the simulation.
    """
    count = len(label)
    weights = np.full(count, 1 / count) if weights is None else weights / weights.sum()
    # Row 0 holds the given labels, the other rows simulated ones.
    simulated = np.random.default_rng(seed).random((resamples, count)) < probability
    gaps = weights * (probability - np.vstack([label[None], simulated]))
    # Sum the gaps of each bin.
    bin_index = np.minimum((probability * bins).astype(int), bins - 1)
    in_bin = np.eye(bins)[bin_index]
    errors = np.abs(gaps @ in_bin).sum(axis=1)
    floor = errors[1:].mean()
    high = np.quantile(errors[1:], 0.975)
    rms = rms_error(label, probability, bins)
    return CalibrationError(float(errors[0]), float(floor), float(high), rms, count)


def rms_error(label: NDArray[np.int64], probability: Values, bins: int = BINS) -> float:
    """Compute the debiased root mean square calibration error (Kumar, Liang and Ma 2019).

    Bins hold equally many images. The variance of a bin's share is subtracted from its squared gap.

    Unit: one image.
    Assumes: independent images.
    Fails: for small samples, which get fewer bins, because a bin holds at least two images.

    Args:
        label: (n,) 1 generated, 0 real.
        probability: (n,) P(generated), 0 to 1.
        bins: Number of bins, reduced to n / 2 if larger.
    """
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(order) // 2)))
    squares = 0.0
    for part in parts:
        share = label[part].mean()
        noise = share * (1 - share) / max(1, len(part) - 1)
        squares += len(part) * ((probability[part].mean() - share) ** 2 - noise)
    return float(np.sqrt(max(0.0, squares / len(order))))

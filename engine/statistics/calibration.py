"""Calibration error with its floor: how large it is for probabilities that are exactly right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics.bootstrap import Values

BINS = 15
"""Equal-width bins of the expected calibration error."""


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error beside what perfect calibration would give.

    Attributes:
        error: Mean distance of probability from share, over bins.
        floor: Mean error of perfectly calibrated probabilities like these.
        floor_high: Error that perfectly calibrated ones exceed in 1 of 40 samples.
        rms: Root mean square error without the part that chance adds (Kumar 2019); 0 where chance
            explains all.
        n: Images.
    """

    error: float
    floor: float
    floor_high: float
    rms: float
    n: int

    @property
    def above_floor(self) -> bool:
        """True if chance alone hardly explains the error."""
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

    Unit: one image.
    Assumes: independent images. The floor is simulated: labels are drawn with the very
    probabilities that are judged.
    Fails: equal-width bins see nothing of errors within a bin. With class weights the floor is of
    the probabilities as if they were meant for balanced classes, and only rough.

    Args:
        label: (n,) 1 generated, 0 real.
        probability: (n,) P(generated), 0 to 1.
        weights: (n,) of the images; equal if None.
        bins: How many.
        resamples: Simulated samples.
        seed: Of the simulation.
    """
    count = len(label)
    weights = np.full(count, 1 / count) if weights is None else weights / weights.sum()
    place = np.minimum((probability * bins).astype(int), bins - 1)
    drawn = np.random.default_rng(seed).random((resamples, count)) < probability
    gaps = weights * (probability - np.vstack([label[None], drawn]))
    in_bin = np.eye(bins)[place]
    errors = np.abs(gaps @ in_bin).sum(axis=1)
    floor, high = errors[1:].mean(), np.quantile(errors[1:], 0.975)
    rms = rms_error(label, probability, bins)
    return CalibrationError(float(errors[0]), float(floor), float(high), rms, count)


def rms_error(label: NDArray[np.int64], probability: Values, bins: int = BINS) -> float:
    """Debiased root mean square calibration error (Kumar, Liang and Ma 2019).

    Unit: one image.
    Assumes: independent images. Bins hold equally many images; each bin's squared gap is reduced by
    the variance of its share.
    Fails: bins hold at least two images, so fewer are made of small samples.

    Args:
        label: (n,) 1 generated, 0 real.
        probability: (n,) P(generated), 0 to 1.
        bins: How many, at most n / 2.
    """
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(order) // 2)))
    squares = 0.0
    for part in parts:
        share = label[part].mean()
        noise = share * (1 - share) / max(1, len(part) - 1)
        squares += len(part) * ((probability[part].mean() - share) ** 2 - noise)
    return float(np.sqrt(max(0.0, squares / len(order))))

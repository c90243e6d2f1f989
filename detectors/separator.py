"""Linear separator of a calibration's images from others that are unlike them.

Training against other images, whatever they are, also tells apart those that nobody thought of
("outlier exposure", Hendrycks et al. 2019, arXiv 1812.04606).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.statistics import conformal_bound

WEIGHT = "unlike_weight"
BOUND = "unlike_bound"

STRENGTH = 0.1
"""Inverse strength of the L2 penalty on the weights."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Separator:
    """Log-odds that an image is one of the others, with a bound for each class of the calibration.

    Attributes:
        weight: (D,) weights of the scaled features.
        bound: (2,) log-odds, without intercept, above which an image is unlike the real and the
            generated images of the calibration.
    """

    weight: Floats
    bound: Floats

    @classmethod
    def fit(
        cls,
        fitted: Floats,
        ranked: Floats,
        label: NDArray[np.int64],
        unlike: Floats,
        rate: float,
    ) -> Separator:
        """Fit by logistic regression; both sides have equal weight.

        Args:
            fitted: (N, D) scaled features of the calibration, to fit on.
            ranked: (M, D) others, for the bounds.
            label: (M,) their classes: 1 generated, 0 real.
            unlike: (K, D) of images unlike those of the calibration.
            rate: Largest probability that an image of a class is called unlike it; a class has
                enough images for such a bound.
        """
        from sklearn.linear_model import LogisticRegression

        features = np.concatenate([fitted, unlike])
        is_unlike = np.arange(len(features)) >= len(fitted)
        # directions of large variance would else need hardly any weight
        spread = np.maximum(features.std(axis=0), 1e-6)
        regression = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
        regression.fit((features - features.mean(axis=0)) / spread, is_unlike)
        weight = _stored(regression.coef_[0] / spread)
        values = ranked @ weight
        bound = [conformal_bound(values[label == of], rate) for of in (0, 1)]
        return cls(weight, _stored(np.array(bound, dtype=np.float64)))

    def distances(self, scaled: Floats) -> Floats:
        """Compute distances, (N, 2), of (N, D) scaled features; above 1 is unlike the class."""
        return 1 + (scaled @ self.weight)[:, None] - self.bound

    def tensor_distances(self, scaled: torch.Tensor) -> torch.Tensor:
        """Compute :meth:`distances` of a tensor, in its precision, for exported networks."""
        weight, bound = (torch.from_numpy(part).to(scaled) for part in (self.weight, self.bound))
        return 1 + (scaled @ weight)[:, None] - bound

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays of the file."""
        return {WEIGHT: self.weight.astype(np.float32), BOUND: self.bound.astype(np.float32)}

    @classmethod
    def of(cls, arrays: dict[str, Floats]) -> Separator | None:
        """Take the separator from the arrays of a file; None if there is none."""
        return cls(arrays[WEIGHT], arrays[BOUND]) if WEIGHT in arrays else None

    @staticmethod
    def shapes(names: Collection[str], size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes that its arrays must have in a file with some names."""
        return {WEIGHT: (size,), BOUND: (2,)} if {WEIGHT, BOUND} & set(names) else {}


def _stored(values: Floats) -> Floats:
    """Round values as the file does."""
    return values.astype(np.float32).astype(np.float64)

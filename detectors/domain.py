"""Guard against images unlike those of the calibration.

Each class has a Gaussian of its features: some principal components, and one variance for the rest
(probabilistic PCA, Tipping and Bishop 1999). The distance is Mahalanobis', as in arXiv 1807.03888.
An image is outside of a class if it is farther than a conformal bound. Gaussian and bound are
fitted on different halves of the calibration set. With images unlike those of the calibration,
there is also a :class:`~detectors.separator.Separator`, and an image is outside if either says so;
each has half of the rate. An image is outside of both classes, too, if the view scales it by a
factor far from those of the calibration: features of a reduced photograph hide its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from checkpoints.tensors import read_safetensors
from detectors.separator import Separator
from engine.files import atomic_write, file_digest
from engine.statistics import conformal_bound, least_scores

FILE = "domain.safetensors"

RATE = 0.05
"""Largest probability that an image like the calibration's is outside of its class."""

COMPONENTS = 32
"""Principal components of a class."""

FACTOR_MARGIN = 2.0
"""Ratio of an outside image's factor of scaling to the farthest of the calibration."""

NAMES = ("scale", "mean", "components", "variance", "residual", "bound")
"""Arrays of the file."""

FACTORS = "factors"
"""Another array of the file, if the factors are known."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Domain:
    """Gaussians of the features of both classes, real first, with bounds of the distance.

    Attributes:
        scale: (D,) unit of each feature.
        mean: (2, D) means of the scaled features.
        components: (2, K, D) principal components.
        variance: (2, K) variances along them.
        residual: (2,) variance of the other directions.
        bound: (2,) distances from which an image is outside.
        separator: Separator from images unlike those of the calibration; None without such images.
        factors: (2,) least and largest factor by which the view may scale an image; None if those
            of the calibration are unknown.
    """

    scale: Floats
    mean: Floats
    components: Floats
    variance: Floats
    residual: Floats
    bound: Floats
    separator: Separator | None = None
    factors: Floats | None = None

    @classmethod
    def fit(
        cls,
        features: Floats,
        label: NDArray[np.int64],
        units: NDArray[np.str_],
        unlike: Floats | None = None,
        factors: Floats | None = None,
    ) -> Domain | None:
        """Fit to the features of a calibration set.

        Args:
            features: (N, D) features.
            label: (N,) 1 generated, 0 real.
            units: (N,) name of each image's unit, such as an image and its reconstruction. A unit
                is in one half.
            unlike: (M, D) features of images unlike those of the calibration; None for none.
            factors: (N,) factors by which the view scaled the images; None if unknown.

        Returns:
            The domain; None if a class has too few images.
        """
        rate = RATE if unlike is None else RATE / 2
        first_half = halves(units)
        fitted, ranked = features[first_half], features[~first_half]
        counts = [int((label[~first_half] == of).sum()) for of in (0, 1)]
        sizes = [int((label[first_half] == of).sum()) for of in (0, 1)]
        if min(counts) < least_scores(rate) or min(sizes) < 2:
            return None
        # a feature that hardly varies has the precision of its value as unit
        noise = 0.01 * np.abs(fitted.mean(axis=0)) + 1e-3 * fitted.std()
        scale = np.maximum(fitted.std(axis=0), noise)
        number = max(1, min(COMPONENTS, min(sizes) // 4, features.shape[1] - 1))
        parts = [_gaussian(fitted[label[first_half] == of] / scale, number) for of in (0, 1)]
        mean, components, variance, residual = (np.stack(part) for part in zip(*parts, strict=True))
        # distances as the stored, rounded numbers give them
        values = {"scale": scale, "mean": mean, "components": components, "variance": variance}
        values |= {"residual": residual, "bound": np.ones(2)}
        stored = {name: _stored(name, array) for name, array in values.items()}
        limits = None if factors is None else _limits(factors[first_half])
        domain = cls(**stored, separator=None, factors=limits)
        ranked_label = label[~first_half]
        distances = domain.distances(ranked)
        if factors is not None:
            distances[domain.scaling_distances(factors[~first_half]) > 1] = np.inf
        own = [distances[ranked_label == of, of] for of in (0, 1)]
        bound = np.array([conformal_bound(values, rate) for values in own], dtype=np.float64)
        domain = replace(domain, bound=_stored("bound", bound))
        if unlike is None:
            return domain
        unit = domain.scale
        separator = Separator.fit(fitted / unit, ranked / unit, ranked_label, unlike / unit, rate)
        return replace(domain, separator=separator)

    def distances(self, features: Floats, factors: Sequence[float] | None = None) -> Floats:
        """Compute distances from both classes, (N, 2); above 1 is outside.

        They are in units of the bounds, or 1 + the log-odds above the separator's bound, or the
        ratio of the factor to its limit if that is more.

        Args:
            features: (N, D) features; further columns are left out.
            factors: (N,) factors by which the view scaled the images; None if unknown.

        Raises:
            ValueError: If there are too few features.
        """
        size = len(self.scale)
        if features.shape[1] < size:
            msg = f"{FILE} is of {size} features, the detector has {features.shape[1]}"
            raise ValueError(msg)
        scaled = features[:, :size] / self.scale
        distances = np.empty((len(features), 2))
        for of in (0, 1):
            centered = scaled - self.mean[of]
            inside = centered @ self.components[of].T
            rest = np.maximum((centered**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
            square = (inside**2 / self.variance[of]).sum(axis=1) + rest / self.residual[of]
            distances[:, of] = np.sqrt(square) / self.bound[of]
        if self.separator is not None:
            distances = np.maximum(distances, self.separator.distances(scaled))
        if self.factors is not None and factors is not None:
            of_scaling = self.scaling_distances(np.array(factors))
            distances = np.maximum(distances, of_scaling[:, None])
        return distances

    def scaling_distances(self, factors: Floats) -> Floats:
        """Compute the ratio of factors, (N,), to their limit, (N,); above 1 is outside."""
        assert self.factors is not None
        least, largest = self.factors
        return np.maximum(least / factors, factors / largest)

    def tensor_distances(self, features: torch.Tensor) -> torch.Tensor:
        """Compute :meth:`distances` of a tensor, in its precision, for exported networks.

        Factors of scaling are left out.

        Args:
            features: (N, D) features.

        Returns:
            (N, 2).
        """
        values = {}
        for name in NAMES:
            values[name] = torch.from_numpy(getattr(self, name)).to(features)
        scaled = features / values["scale"]
        distances = []
        for of in (0, 1):
            centered = scaled - values["mean"][of]
            inside = centered @ values["components"][of].T
            rest = ((centered**2).sum(dim=1) - (inside**2).sum(dim=1)).clamp(min=0)
            along = (inside**2 / values["variance"][of]).sum(dim=1)
            square = along + rest / values["residual"][of]
            distances.append(square.sqrt() / values["bound"][of])
        stacked = torch.stack(distances, dim=1)
        if self.separator is None:
            return stacked
        return torch.maximum(stacked, self.separator.tensor_distances(scaled))

    def save(self, folder: Path) -> str:
        """Write ``domain.safetensors`` into a model folder, and return its SHA-256."""
        arrays = {}
        for name in NAMES:
            arrays[name] = np.ascontiguousarray(getattr(self, name), dtype=_kind(name))
        if self.separator is not None:
            arrays |= self.separator.arrays()
        if self.factors is not None:
            arrays[FACTORS] = self.factors.astype(np.float32)
        with atomic_write(folder / FILE) as partial:
            save_file(arrays, partial)
        return file_digest(folder / FILE)

    @classmethod
    def open(cls, folder: Path, sha256: str) -> Domain:
        """Read a model folder's domain.

        Args:
            folder: The folder.
            sha256: Hash of the file that the calibration was stored with.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, or is another than that of the calibration.
        """
        file = folder / FILE
        remedy = "get a whole copy, or fit it again with python -m detectors calibrate"
        if not file.is_file():
            msg = f"{file}: missing, though the calibration names it; {remedy}"
            raise FileNotFoundError(msg)
        if file_digest(file) != sha256:
            msg = f"{file}: not the one that {folder}/calibration.json was stored with; {remedy}"
            raise ValueError(msg)
        tensors = read_safetensors(file)
        if {name: tuple(values.shape) for name, values in tensors.items()} != _shapes(tensors):
            msg = f"{file}: damaged; {remedy}"
            raise ValueError(msg)
        arrays = {name: values.double().numpy() for name, values in tensors.items()}
        separator = Separator.of(arrays)
        parts = {name: arrays[name] for name in NAMES}
        return cls(**parts, separator=separator, factors=arrays.get(FACTORS))


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that the tensors of a file must have."""
    size = tensors["scale"].numel() if "scale" in tensors else 0
    variance = tensors.get("variance")
    number = 0 if variance is None else variance.shape[-1]
    shapes = {"scale": (size,), "mean": (2, size), "components": (2, number, size)}
    shapes |= {"variance": (2, number), "residual": (2,), "bound": (2,)}
    if FACTORS in tensors:
        shapes[FACTORS] = (2,)
    return shapes | Separator.shapes(tensors, size)


def halves(units: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bool_]:
    """Split units into halves by their names' hashes: (N,) True for those of the first half."""
    import hashlib

    distinct = sorted(set(units), key=lambda unit: hashlib.sha256(str(unit).encode()).digest())
    return np.isin(units, distinct[::2])


def _gaussian(features: Floats, number: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit mean, principal components, their variances, and the variance of the rest."""
    mean = features.mean(axis=0)
    _, lengths, directions = np.linalg.svd(features - mean, full_matrices=False)
    variances = lengths**2 / len(features)
    rest = variances[number:].sum() / max(1, features.shape[1] - number)
    floor = 1e-3
    return (
        mean,
        directions[:number],
        np.maximum(variances[:number], floor),
        np.array(max(rest, floor)),
    )


def _limits(factors: Floats) -> Floats:
    """Return the limits of the factors of scaling, (2,), from those of a calibration, (N,)."""
    limits = np.array([factors.min() / FACTOR_MARGIN, factors.max() * FACTOR_MARGIN])
    return _stored(FACTORS, limits)


def _kind(name: str) -> type[np.floating]:
    """Return the type of an array in the file."""
    return np.float16 if name == "components" else np.float32


def _stored(name: str, values: Floats) -> Floats:
    """Round values as the file does."""
    return np.asarray(values, dtype=np.float64).astype(_kind(name)).astype(np.float64)

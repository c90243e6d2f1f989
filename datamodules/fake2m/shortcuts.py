"""Shortcut test: can file headers alone separate real from generated images?

If they can, a detector may learn the headers' traces (codec, size, quality) and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

MAX_AUC = 0.55
"""Highest AUC at which headers do not separate the classes."""

MIN_IMAGES = 200
"""Images of each class that the test needs; with fewer it would fail by chance."""

FEATURES = (
    "codec",
    "width",
    "height",
    "aspect",
    "bytes",
    "bits_per_pixel",
    "jpeg_quality",
    "chroma",
    "exif",
)

CODECS = ("jpg", "png", "webp", "bmp", "tif", "gif", "avif", "heic")
CHROMAS = (None, "4:4:4", "4:2:2", "4:2:0")

TREE_DEPTH = 4
SINGLE_FEATURE_TREE_DEPTH = 2


@dataclass(frozen=True)
class Gate:
    """Result of the shortcut test.

    Attributes:
        auc: Cross-validated AUC of a shallow tree on all header features; 0.5 is chance.
        features: AUC of each feature alone, the highest first.
        pictures: Number of real and of generated images.
    """

    auc: float
    features: dict[str, float]
    pictures: tuple[int, int]

    @property
    def limit(self) -> float:
        """Highest AUC that passes.

        It is :data:`MAX_AUC`, or, for few images, three standard errors above chance.
        """
        real, generated = self.pictures
        return max(MAX_AUC, 0.5 + 3 * math.sqrt((real + generated + 1) / (12 * real * generated)))

    @property
    def passed(self) -> bool:
        """True if no header feature, nor all together, separate the classes."""
        return max(self.auc, *self.features.values()) <= self.limit

    def verdict(self) -> str:
        """Describe the result in a sentence."""
        worst, value = next(iter(self.features.items()))
        images = "{} + {} images".format(*self.pictures)
        if self.limit > MAX_AUC:
            images += f", too few to tell {MAX_AUC} from chance"
        if self.passed:
            return (
                f"headers: no difference above AUC {self.limit:.3f} was seen ({images}): "
                f"AUC {self.auc:.3f}, by {worst} alone {value:.3f}"
            )
        return (
            f"headers alone tell the classes apart with AUC {max(self.auc, value):.3f}, "
            f"by {worst} alone {value:.3f} (limit {self.limit:.3f}; {images}): "
            "a detector trained on these images may learn nothing else; "
            "give both classes the same codec, sizes and quality"
        )


def shortcut_gate(records: Sequence[dict[str, Any]], seed: int = 0) -> Gate:
    """Fit shallow trees on header features, and evaluate them by cross-validation.

    Args:
        records: Records of shards; see :func:`datamodules.fake2m.origin.sample_record`.
        seed: Seed of the folds and trees.

    Raises:
        ValueError: If a class has fewer images than :data:`MIN_IMAGES`.
    """
    labels = np.array([record["label"] for record in records])
    counts = (int((labels == 0).sum()), int((labels == 1).sum()))
    if min(counts) < MIN_IMAGES:
        msg = (
            f"the shortcut gate needs at least {MIN_IMAGES} images of each class, "
            f"got {counts[0]} real and {counts[1]} generated; give more shards, or use more of them"
        )
        raise ValueError(msg)
    table = np.array([header_features(record) for record in records])
    single = {}
    for index, name in enumerate(FEATURES):
        single[name] = held_out_auc(table[:, [index]], labels, SINGLE_FEATURE_TREE_DEPTH, seed)
    ordered = dict(sorted(single.items(), key=lambda item: -item[1]))
    return Gate(held_out_auc(table, labels, TREE_DEPTH, seed), ordered, counts)


def header_features(record: dict[str, Any]) -> list[float]:
    """Convert a record's header to numbers, in the order of :data:`FEATURES`."""
    width = record["width"]
    height = record["height"]
    nbytes = record["nbytes"]
    return [
        _index(CODECS, record["codec"]),
        width,
        height,
        width / height,
        nbytes,
        8 * nbytes / (width * height),
        record["jpeg_quality"] or -1,
        _index(CHROMAS, record["chroma"]),
        float(record["exif"]),
    ]


def _index(values: Sequence[str | None], value: str | None) -> int:
    """Return the index of a value; -1 if it is not listed."""
    return values.index(value) if value in values else -1


def held_out_auc(
    table: NDArray[np.float64], labels: NDArray[np.int64], depth: int, seed: int
) -> float:
    """Compute a decision tree's AUC by five-fold cross-validation.

    Args:
        table: (N, F) features.
        labels: (N,) 1 generated, 0 real.
        depth: Depth of the tree.
        seed: Seed of the folds and the tree.
    """
    if (table == table[0]).all():
        return 0.5
    leaf = max(5, len(labels) // 200)
    tree = DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=leaf, class_weight="balanced", random_state=seed
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    scores = cross_val_predict(tree, table, labels, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))

"""Can real and generated pictures be told apart without looking? Then a detector will do just that, and nothing else."""

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

LIMIT = 0.55
"""AUC above which header facts give the class away."""

MIN_IMAGES = 200
"""Pictures of each class that the gate needs: of fewer, chance alone would fire it."""

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


@dataclass(frozen=True)
class Gate:
    """What headers alone tell.

    Attributes:
        auc: Of a shallow tree on all header facts, on pictures it was not fitted on; 0.5 tells nothing.
        features: The same for each fact alone, the worst first.
        pictures: How many of each class, real and generated.
    """

    auc: float
    features: dict[str, float]
    pictures: tuple[int, int]

    @property
    def limit(self) -> float:
        """:data:`LIMIT`, or what so few pictures reach by chance: three standard errors of an AUC that tells nothing."""
        real, generated = self.pictures
        return max(LIMIT, 0.5 + 3 * math.sqrt((real + generated + 1) / (12 * real * generated)))

    @property
    def passed(self) -> bool:
        """Whether no header fact gives the class away."""
        return max(self.auc, *self.features.values()) <= self.limit

    def words(self) -> str:
        """The verdict in a sentence."""
        worst, value = next(iter(self.features.items()))
        limit = f"limit {self.limit:.3f}" + (
            f", as so few pictures cannot tell {LIMIT} from chance" if self.limit > LIMIT else ""
        )
        if self.passed:
            return f"headers do not tell the classes apart: AUC {self.auc:.3f}, by {worst} alone {value:.3f} ({limit})"
        return (
            f"headers alone tell the classes apart with AUC {max(self.auc, value):.3f}, by {worst} alone {value:.3f} ({limit}): "
            f"a detector trained on these pictures may learn nothing else; give both classes the same codec, sizes and quality"
        )


def shortcut_gate(records: Sequence[dict[str, Any]], seed: int = 0) -> Gate:
    """Fit shallow trees on header facts, and measure them on pictures left out.

    Args:
        records: The records of shards; see :func:`datamodules.fake2m.sharding.describe`.
        seed: Of the folds.

    Raises:
        ValueError: If a class has fewer pictures than :data:`MIN_IMAGES`.
    """
    label = np.array([record["label"] for record in records])
    counts = (int((label == 0).sum()), int((label == 1).sum()))
    if min(counts) < MIN_IMAGES:
        msg = f"the shortcut gate needs at least {MIN_IMAGES} pictures of each class, got {counts[0]} real and {counts[1]} generated"
        raise ValueError(msg)
    table = np.array([facts(record) for record in records])
    alone = {
        name: held_out_auc(table[:, [index]], label, 2, seed) for index, name in enumerate(FEATURES)
    }
    ordered = dict(sorted(alone.items(), key=lambda item: -item[1]))
    return Gate(held_out_auc(table, label, 4, seed), ordered, counts)


def facts(record: dict[str, Any]) -> list[float]:
    """A record's header facts as numbers, in the order of :data:`FEATURES`."""
    width, height, size = record["width"], record["height"], record["nbytes"]
    kinds = {
        "codec": ("jpg", "png", "webp", "bmp", "tif"),
        "chroma": (None, "4:4:4", "4:2:2", "4:2:0"),
    }
    codec, chroma = (
        kinds[name].index(record[name]) if record[name] in kinds[name] else -1
        for name in ("codec", "chroma")
    )
    quality = record["jpeg_quality"] or -1
    return [
        codec,
        width,
        height,
        width / height,
        size,
        8 * size / (width * height),
        quality,
        chroma,
        float(record["exif"]),
    ]


def held_out_auc(
    table: NDArray[np.float64], label: NDArray[np.int64], depth: int, seed: int
) -> float:
    """AUC of a tree of some depth, each picture scored by one that was fitted without it."""
    if (table == table[0]).all():
        return 0.5
    leaf = max(5, len(label) // 200)
    tree = DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=leaf, class_weight="balanced", random_state=seed
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    scored = cross_val_predict(tree, table, label, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(label, scored))

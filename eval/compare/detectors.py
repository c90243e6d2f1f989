"""Comparison of two detectors' scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import auc
from detectors.scores import Scores
from engine.manifest import read_manifest
from engine.statistics import auc_difference_interval
from eval.compare.compared import (
    Compared,
    Figure,
    differing_settings,
    paired_shares,
    unpaired,
)

SCORES = "scores.parquet"
ACCURACY = "accuracy at P = 0.5"


def scores_file(run: Path) -> Path | None:
    """File of a run's scores; None if it has none."""
    file = run / SCORES if run.is_dir() else run
    return file if file.is_file() and file.suffix in (".parquet", ".csv") else None


def compare_detectors(a: Path, b: Path) -> Compared:
    """Compare two tests, paired over the images that both judged.

    Accuracies are at P = 0.5 by the networks alone.

    Args:
        a: Folder of ``detectors test``, or score file, of run A.
        b: The same of run B.

    Raises:
        ValueError: If scores are damaged.
    """
    one, other = (Scores.read(scores_file(run) or run) for run in (a, b))
    rows, words = _pairs(one, other)
    if rows is None:
        right = [((side.logit >= 0) == (side.label == 1)).astype(float) for side in (one, other)]
        figures = [Figure("AUC", _auc(one), _auc(other)), unpaired(ACCURACY, *right)]
    else:
        figures = _paired(
            *(side.where(mine) for side, mine in zip((one, other), rows, strict=True))
        )
    manifests = [read_manifest(run) if run.is_dir() else None for run in (a, b)]
    settings = differing_settings(*manifests)
    notes = [] if all(manifests) else ["A score file has no manifest: its settings are unknown."]
    return Compared("detectors", "image", words, figures, settings, notes)


def _paired(one: Scores, other: Scores) -> list[Figure]:
    """Figures of two detectors on the same images."""
    label = one.label
    figures = []
    if 0 < label.sum() < len(label):
        interval = auc_difference_interval(label, other.logit, one.logit)
        figures.append(Figure("AUC", _auc(one), _auc(other), interval, len(label)))
    right = [(side.logit >= 0) == (label == 1) for side in (one, other)]
    parts = {
        ACCURACY: np.ones(len(label), bool),
        "real images called real": label == 0,
        "generated images called generated": label == 1,
    }
    for name, mask in parts.items():
        if mask.any():
            figures.append(paired_shares(name, right[0][mask], right[1][mask]))
    return figures


def _pairs(
    one: Scores, other: Scores
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]] | None, str]:
    """Rows of the images in both tests, and words on them; None if there are none."""
    keys = [_keys(side) for side in (one, other)]
    if keys[0] is None or keys[1] is None:
        return None, (
            "Not paired: a file of scores has no column key or source_path, or one twice, so "
            "differences have no interval."
        )
    first, second = keys[0], keys[1]
    shared = [key for key in first if key in second]
    if not shared:
        return None, "Not paired: no image is in both tests, so differences have no interval."
    rows = (np.array([first[key] for key in shared]), np.array([second[key] for key in shared]))
    if (one.label[rows[0]] != other.label[rows[1]]).any():
        msg = "an image has another label in the other run: compare tests of the same data"
        raise ValueError(msg)
    left = len(one) + len(other) - 2 * len(shared)
    words = f"Paired over {len(shared)} images in both runs."
    words += f" {left} of one run only are left out." if left else ""
    return rows, words


def _keys(scores: Scores) -> dict[str, int] | None:
    """Row of each image by its name; None if names are missing or not unique."""
    for columns in (("subset", "key"), ("source_path",), ("key",)):
        parts = [scores.facts[name] for name in columns]
        names = ["\0".join(map(str, row)) for row in zip(*parts, strict=True)]
        if all(scores.facts[columns[-1]]) and len(set(names)) == len(names):
            return {name: row for row, name in enumerate(names)}
    return None


def _auc(scores: Scores) -> float:
    """AUC; NaN if a class is missing."""
    value = auc(scores.label, scores.logit)
    return float("nan") if value is None else value

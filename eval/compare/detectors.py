"""Comparison of two detectors' scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import auc
from detectors.scores import Scores
from detectors.uncertainty import resampling_units
from engine.manifest import read_manifest
from engine.statistics import auc_difference_interval
from eval.compare.compared import (
    Compared,
    Figure,
    differing_settings,
    paired_shares,
    paired_values,
    unpaired,
)
from eval.reports.comparisons import SHARES

SCORES = "scores.parquet"
ACCURACY = "accuracy at P = 0.5"


def scores_file(run: Path) -> Path | None:
    """File of a run's scores; None if it has none."""
    file = run / SCORES if run.is_dir() else run
    return file if file.is_file() and file.suffix in (".parquet", ".csv") else None


def compare_detectors(a: Path, b: Path) -> Compared:
    """Compare two tests, paired over the images that both judged.

    Accuracies are at P = 0.5 by the networks alone. Images that depend on each other, such as a
    photograph and its reconstructions, count as one unit of all intervals and tests; see
    :func:`detectors.uncertainty.resampling_units`.

    Args:
        a: Folder of ``detectors test``, or score file, of run A.
        b: The same of run B.

    Raises:
        ValueError: If scores are damaged.
    """
    one, other = (Scores.read(scores_file(run) or run) for run in (a, b))
    rows, words = _pairs(one, other)
    unit = "image"
    if rows is None:
        right = [((side.logit >= 0) == (side.label == 1)).astype(float) for side in (one, other)]
        figures = [Figure("AUC", _auc(one), _auc(other)), unpaired(ACCURACY, *right)]
    else:
        one, other = (side.where(mine) for side, mine in zip((one, other), rows, strict=True))
        units = resampling_units(one)
        figures = _paired(one, other, units)
        if (groups := len(np.unique(units))) < len(one):
            unit = "group of images with one caption or original"
            words += f" They are {groups} groups of one caption or original, the units."
    manifests = [read_manifest(run) if run.is_dir() else None for run in (a, b)]
    settings = differing_settings(*manifests)
    notes = [] if all(manifests) else ["A score file has no manifest: its settings are unknown."]
    return Compared("detectors", unit, words, figures, settings, notes)


def _paired(one: Scores, other: Scores, units: NDArray[np.str_]) -> list[Figure]:
    """Figures of two detectors on the same images.

    Args:
        one: Scores of run A on N images.
        other: Scores of run B.
        units: (N,) name of each image's unit.
    """
    label = one.label
    figures = []
    if 0 < label.sum() < len(label):
        interval = auc_difference_interval(label, other.logit, one.logit, units)
        figures.append(Figure("AUC", _auc(one), _auc(other), interval, len(np.unique(units))))
    right = [(side.logit >= 0) == (label == 1) for side in (one, other)]
    parts = {
        ACCURACY: np.ones(len(label), bool),
        "real images called real": label == 0,
        "generated images called generated": label == 1,
    }
    for name, mask in parts.items():
        if mask.any():
            figures.append(_accuracy(name, right[0][mask], right[1][mask], units[mask]))
    return figures


def _accuracy(
    name: str, a: NDArray[np.bool_], b: NDArray[np.bool_], units: NDArray[np.str_]
) -> Figure:
    """Compare the shares of right images, over units.

    Args:
        name: Name of the figure.
        a: (n,) True for images that run A judges right.
        b: (n,) the same of run B.
        units: (n,) name of each image's unit.
    """
    names, unit_of = np.unique(units, return_inverse=True)
    count = len(names)
    if count == len(a):
        return paired_shares(name, a, b)
    # A unit weighs as much as it has images, so that the mean over units is that over images.
    totals = [np.bincount(unit_of, side) * count / len(side) for side in (a, b)]
    return paired_values(name, totals[0], totals[1], SHARES)


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

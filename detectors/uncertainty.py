"""Confidence intervals of a detector's figures.

They are over independent images, or over people and images if people answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import metrics
from detectors.scores import Scores
from engine.statistics import (
    Interval,
    auc_interval,
    average_of_shares,
    bootstrap_interval,
    clusters,
    crossed_interval,
    crossed_share_interval,
    crossed_table,
    first_occurrences,
    share_interval,
    simultaneous,
    worst_of,
)
from engine.statistics.ranking import auc_influence

WORST_GENERATORS = 3
"""Number of the worst generators whose mean AUC is reported."""


def intervals(scores: Scores, confidence: float = 0.95) -> dict[str, Interval | None]:
    """Intervals of AUC and of accuracies at P = 0.5.

    The unit is a group of images with one name in :func:`resampling_units`. If the fact
    ``participant`` names people, the intervals are over people and images at once.
    """
    if scores.facts["participant"].astype(bool).any():
        return answer_intervals(scores, confidence)
    units = resampling_units(scores)
    right = {
        name: accuracy_interval(scores, units, of, confidence)
        for name, of in (("real_accuracy", 0), ("generated_accuracy", 1))
    }
    if not metrics.both_classes(scores.label):
        return {"auc": None, "balanced_accuracy": None, **right}
    shares = [metrics.recall(scores.label, scores.probability, 0.5, of) or 0.0 for of in (0, 1)]
    return {
        "auc": auc_interval(scores.label, scores.logit, units, confidence),
        "balanced_accuracy": average_of_shares(shares, list(right.values())),
        **right,
    }


def accuracy_interval(
    scores: Scores, units: NDArray[np.str_], of: int, confidence: float = 0.95
) -> Interval | None:
    """Interval of the accuracy on one class at P = 0.5.

    Args:
        scores: Scores of N images.
        units: (N,) name of each image's unit.
        of: The class, 0 for real and 1 for generated.
        confidence: Confidence level, between 0 and 1.
    """
    mask = scores.label == of
    if not mask.any():
        return None
    right = (scores.probability[mask] >= 0.5) == (of == 1)
    return share_over_units(right, units[mask], confidence)


def share_over_units(
    counted: NDArray[np.bool_], units: NDArray[np.str_], confidence: float = 0.95
) -> Interval | None:
    """Interval of a share of images, over units.

    A unit has one or several images.

    Args:
        counted: (n,) True for images that count.
        units: (n,) name of each image's unit.
        confidence: Confidence level, between 0 and 1.
    """
    unit_of = np.unique(units, return_inverse=True)[1]
    sizes = np.bincount(unit_of)
    return share_interval(np.bincount(unit_of, counted) / sizes, sizes, confidence)


def answer_intervals(scores: Scores, confidence: float) -> dict[str, Interval | None]:
    """Intervals of people's answers, over people and images.

    The AUC of answers that are yes or no equals the balanced accuracy, so it has the same interval.
    For answers with more values its interval is None.

    Args:
        scores: Answers of people.
        confidence: Confidence level, between 0 and 1.
    """
    people = scores.facts["participant"]
    images = resampling_units(scores)
    positive = scores.probability >= 0.5
    truth = scores.label == 1

    # Right answers and all answers, for generated and then for real images.
    masks = (positive & truth, truth, ~positive & ~truth, ~truth)
    cells = [crossed_table(people, images, mask) for mask in masks]
    binary = len(np.unique(scores.logit)) <= 2
    balanced = None
    if metrics.both_classes(scores.label):
        balanced = crossed_interval(
            lambda totals: (totals[0] / totals[1] + totals[2] / totals[3]) / 2,
            np.stack(cells),
            confidence=confidence,
        )
    return {
        "auc": balanced if binary else None,
        "balanced_accuracy": balanced,
        "real_accuracy": crossed_share_interval(cells[2], cells[3], confidence=confidence),
        "generated_accuracy": crossed_share_interval(cells[0], cells[1], confidence=confidence),
    }


def oracle_interval(scores: Scores, rate: float, resamples: int, seed: int) -> Interval | None:
    """Bootstrap interval of the true-positive rate at the oracle's threshold.

    The threshold is chosen again in every resample.

    Args:
        scores: Scores of the images.
        rate: False-positive rate, between 0 and 1.
        resamples: Number of resamples, at least 40.
        seed: Seed of the resamples.
    """
    if metrics.tpr_at_fpr(scores.label, scores.logit, rate) is None:
        return None
    units = clusters(resampling_units(scores))

    def statistic(sample: NDArray[np.int64]) -> float:
        rows = np.concatenate([units[unit] for unit in sample])
        value = metrics.tpr_at_fpr(scores.label[rows], scores.logit[rows], rate)
        return np.nan if value is None else value

    return bootstrap_interval(statistic, len(units), resamples=resamples, seed=seed)


def worst_generator(
    scores: Scores, generators: dict[str, dict[str, Any]], resamples: int, seed: int
) -> dict[str, Any] | None:
    """Find the generator with the lowest AUC.

    Its AUC is corrected for the selection.

    Args:
        scores: Scores of all images.
        generators: Slices by generator; see :func:`detectors.summary.slices`.
        resamples: Resamples in which the worst generator is selected again; 0 for no correction
            and no intervals.
        seed: Seed of the resamples.

    Returns:
        Name, AUC and numbers of images of the worst generator, and the mean AUC of the worst
        three; None if no generator has an AUC. The corrections and intervals are left out if people
        gave the scores.
    """
    aucs_by_name = {}
    for name, figures in generators.items():
        if figures["auc"] is not None:
            aucs_by_name[name] = figures["auc"]
    if not aucs_by_name:
        return None
    names = list(aucs_by_name)
    aucs = np.array(list(aucs_by_name.values()))
    lowest = int(np.argmin(aucs))
    record = {
        "generator": names[lowest],
        "auc": float(aucs[lowest]),
        "mean_of_worst_3": float(np.sort(aucs)[:WORST_GENERATORS].mean()),
        "real": generators[names[lowest]]["real"],
        "generated": generators[names[lowest]]["generated"],
        "of": len(names),
    }
    if not resamples or scores.facts["participant"].astype(bool).any():
        return record
    return record | _correction(scores, names, aucs, resamples, seed)


def _correction(
    scores: Scores, names: list[str], aucs: NDArray[np.float64], resamples: int, seed: int
) -> dict[str, Any]:
    """Correct the lowest AUCs for having been selected.

    Args:
        scores: Scores of all images.
        names: G generators.
        aucs: (G,) their AUCs.
        resamples: Number of resamples.
        seed: Seed of the resamples.
    """
    units = resampling_units(scores)
    numbers = np.unique(units, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    level = simultaneous(len(names))

    # Interval of each AUC, and the influence of each unit on it.
    bounds = []
    influence = np.zeros((count, len(names)))
    for column, name in enumerate(names):
        rows = np.flatnonzero(slice_mask(scores, "generator", name))
        label = scores.label[rows]
        logit = scores.logit[rows]
        bounds.append(auc_interval(label, logit, units[rows], level))
        np.add.at(influence[:, column], numbers[rows], auc_influence(label, logit)[1])

    # AUCs of the resamples, to first order.
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, [1 / count] * count, resamples)
    resampled = aucs + (weights - 1) @ influence
    lowest = worst_of(aucs, resampled, bounds, 1)
    several = worst_of(aucs, resampled, bounds, WORST_GENERATORS)
    return {
        "corrected_auc": lowest.corrected,
        "interval": lowest.interval,
        "worst_in": lowest.selected,
        "mean_of_worst_3_corrected": several.corrected,
        "mean_of_worst_3_interval": several.interval,
    }


def slice_mask(scores: Scores, name: str, value: str) -> NDArray[np.bool_]:
    """Mask of a slice, (N,).

    A slice has the generated images with the value, and the real images with the value. If there
    are no such real images, it has all real images.

    Args:
        scores: Scores of N images.
        name: Name of the fact.
        value: Value of the fact.
    """
    mask = scores.facts[name] == value
    has_real = (scores.label[mask] == 0).any()
    return mask if has_real else mask | (scores.label == 0)


def resampling_units(scores: Scores) -> NDArray[np.str_]:
    """Name of each image's resampling unit, (N,).

    It is the caption if the image has one, otherwise its subset and path, otherwise its number. A
    reconstruction's caption is its original's subset and path, so both are resampled together. In
    shards of version 0.1 that caption is the bare path; the original is then named by the bare path
    too. Copies of one file have the unit of the first.
    """
    captions = scores.facts["caption_id"]
    paths = scores.facts["source_path"]
    subsets = scores.facts["subset"]
    qualified = np.char.add(np.char.add(subsets, "/"), paths)
    files = np.where(np.isin(paths, captions), paths, qualified)
    units = np.where(captions != "", captions, np.where(paths != "", files, _numbers(scores)))
    _, first, copy_of = np.unique(_files(scores), return_index=True, return_inverse=True)
    return units[first][copy_of]


def without_copies(scores: Scores) -> NDArray[np.int64]:
    """Indices of the images, (M,), without further copies of one file of a class."""
    names = np.char.add(scores.label.astype(str), _files(scores))
    return first_occurrences(names)


def _files(scores: Scores) -> NDArray[np.str_]:
    """Hash of each image's file, (N,); its number if that is unknown."""
    digests = scores.facts["sha256"]
    return np.where(digests != "", digests, _numbers(scores))


def _numbers(scores: Scores) -> NDArray[np.str_]:
    """Names of the images by their numbers, (N,)."""
    return np.char.add("#", np.arange(len(scores)).astype(str))

"""Intervals of a detector's figures, over independent images or over people and images."""

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
    share_interval,
    simultaneous,
    worst_of,
)
from engine.statistics.ranking import auc_influence

WORST = 3
"""Generators whose mean AUC is given beside the worst one's."""


def intervals(scores: Scores, confidence: float = 0.95) -> dict[str, Interval | None]:
    """Intervals of AUC and of accuracies at P = 0.5.

    Unit: an image with all that shares its :func:`resampling_units`. Where people answered, whose
    names are the fact ``participant``, a person and an image at once.
    """
    if scores.facts["participant"].astype(bool).any():
        return answer_intervals(scores, confidence)
    units = resampling_units(scores)
    right = {
        name: accuracy_interval(scores, units, of, confidence)
        for name, of in (("real_accuracy", 0), ("generated_accuracy", 1))
    }
    both = metrics.both_classes(scores.label)
    shares = [metrics.recall(scores.label, scores.probability, 0.5, of) or 0.0 for of in (0, 1)]
    return {
        "auc": auc_interval(scores.label, scores.logit, units, confidence) if both else None,
        "balanced_accuracy": average_of_shares(shares, list(right.values())) if both else None,
        **right,
    }


def accuracy_interval(
    scores: Scores, units: NDArray[np.str_], of: int, confidence: float = 0.95
) -> Interval | None:
    """Interval of the share of a class's images that are recognized at P = 0.5, over units.

    Args:
        scores: Of the images.
        units: Name of each image's unit, (N,).
        of: The class, 0 for real and 1 for generated.
        confidence: Between 0 and 1.
    """
    mine = scores.label == of
    if not mine.any():
        return None
    right = (scores.probability[mine] >= 0.5) == (of == 1)
    return share_over_units(right, units[mine], confidence)


def share_over_units(
    counted: NDArray[np.bool_], units: NDArray[np.str_], confidence: float = 0.95
) -> Interval | None:
    """Interval of a share of images, over units of one or several images.

    Args:
        counted: (n,) True for images that count.
        units: (n,) name of each image's unit.
        confidence: Between 0 and 1.
    """
    place = np.unique(units, return_inverse=True)[1]
    sizes = np.bincount(place)
    return share_interval(np.bincount(place, counted) / sizes, sizes, confidence)


def answer_intervals(scores: Scores, confidence: float) -> dict[str, Interval | None]:
    """Intervals over people and images of people's answers, which are yes or no.

    Their AUC is the mean of both accuracies, so that both have one interval.
    """
    people, images = scores.facts["participant"], resampling_units(scores)
    said, truth = scores.probability >= 0.5, scores.label == 1
    cells = [
        crossed_table(people, images, cell)
        for cell in (said & truth, truth, ~said & ~truth, ~truth)
    ]
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
    """Bootstrap interval of the oracle's true-positive rate; the threshold is chosen again in every resample.

    Args:
        scores: Of the images.
        rate: False-positive rate, between 0 and 1.
        resamples: How many, at least 40.
        seed: Of the draws.
    """
    if metrics.tpr_at_fpr(scores.label, scores.logit, rate) is None:
        return None
    units = clusters(resampling_units(scores))

    def statistic(drawn: NDArray[np.int64]) -> float:
        rows = np.concatenate([units[unit] for unit in drawn])
        value = metrics.tpr_at_fpr(scores.label[rows], scores.logit[rows], rate)
        return np.nan if value is None else value

    return bootstrap_interval(statistic, len(units), resamples=resamples, seed=seed)


def worst(
    scores: Scores, generators: dict[str, dict[str, Any]], resamples: int, seed: int
) -> dict[str, Any] | None:
    """The generator that is told worst from photographs, by AUC, corrected for having been selected.

    Args:
        scores: Of all images.
        generators: Their slices; see :func:`detectors.summary.slices`.
        resamples: Of the re-selection; 0 for no correction and no intervals.
        seed: Of the resamples.
    """
    known = [name for name, facts in generators.items() if facts["auc"] is not None]
    if not known:
        return None
    aucs = np.array([generators[name]["auc"] for name in known])
    place = int(np.argmin(aucs))
    facts = generators[known[place]]
    record = {
        "generator": known[place],
        "auc": float(aucs[place]),
        "mean_of_worst_3": float(np.sort(aucs)[:WORST].mean()),
        "real": facts["real"],
        "generated": facts["generated"],
        "of": len(known),
    }
    if not resamples or scores.facts["participant"].astype(bool).any():
        return record
    units = resampling_units(scores)
    level = simultaneous(len(known))
    bounds, influence = [], np.zeros((len(np.unique(units)), len(known)))
    numbers = np.unique(units, return_inverse=True)[1]
    for column, name in enumerate(known):
        rows = np.flatnonzero(chosen(scores, "generator", name))
        label, logit = scores.label[rows], scores.logit[rows]
        bounds.append(auc_interval(label, logit, units[rows], level))
        np.add.at(influence[:, column], numbers[rows], auc_influence(label, logit)[1])
    count = len(influence)
    weights = np.random.default_rng(seed).multinomial(count, [1 / count] * count, resamples)
    again = aucs + (weights - 1) @ influence
    lowest, few = (worst_of(aucs, again, bounds, number) for number in (1, WORST))
    return record | {
        "corrected_auc": lowest.corrected,
        "interval": lowest.interval,
        "worst_in": lowest.selected,
        "mean_of_worst_3_corrected": few.corrected,
        "mean_of_worst_3_interval": few.interval,
    }


def chosen(scores: Scores, name: str, value: str) -> NDArray[np.bool_]:
    """Mask of a slice.

    Its generated images against its own real ones, or against all if it has none.
    """
    mine = scores.facts[name] == value
    return mine if (scores.label[mine] == 0).any() else mine | (scores.label == 0)


def resampling_units(scores: Scores) -> NDArray[np.str_]:
    """Name of each image's bootstrap unit: its caption if it has one, else its subset and path, else the image itself.

    A reconstruction has its original's subset and path as caption, so that both are resampled
    together. Shards of version 0.1 have the bare path there; an original is then named by it, too.
    """
    captions, paths, subsets = (
        scores.facts[name] for name in ("caption_id", "source_path", "subset")
    )
    places = np.char.add("#", np.arange(len(scores)).astype(str))
    qualified = np.char.add(np.char.add(subsets, "/"), paths)
    files = np.where(np.isin(paths, captions), paths, qualified)
    return np.where(captions != "", captions, np.where(paths != "", files, places))

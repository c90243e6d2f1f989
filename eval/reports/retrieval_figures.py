"""Figures of a copy-detection study with their intervals over images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import (
    Interval,
    bootstrap_interval,
    holm,
    mean_interval,
    paired_recall,
    proportion_interval,
    share_interval,
)
from eval.metrics.retrieval import micro_average_precision, pairs, precision_recall, ranks
from indexing.matches import scores
from models.search import Metric

RECALLS = (1, 10, 100)


@dataclass(frozen=True)
class Answers:
    """What was found for the pictures of one arm.

    Attributes:
        labels: Kind and parameter of each of E edits.
        truth: (N,) entry that each picture shows.
        distances: (N, E, k).
        ids: (N, E, k).
        chains: The same, (N + M, k) each, after random chains, strangers last; None if there were
            none.
    """

    labels: list[tuple[str, str]]
    truth: NDArray[np.int64]
    distances: NDArray[np.float32]
    ids: NDArray[np.int64]
    chains: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None

    def places(self) -> NDArray[np.int64]:
        """Place of the true entry, (N, E); -1 where it was not found."""
        return np.stack(
            [ranks(self.ids[:, edit], self.truth) for edit in range(len(self.labels))], axis=1
        )


MICRO_RESAMPLES = 200
"""Most bootstrap samples of a micro average precision, which takes long to compute."""


def summarise(
    answers: Mapping[str, Answers], beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Any]:
    """Compute all figures of all arms, and differences from the first arm, with intervals over images.

    Edits are weighted equally in the means; they are the edits that were tried, not a sample of
    others. The same images are in all arms, so that differences are paired. Recalls have exact
    intervals, differences of recall McNemar's exact p, and Holm's over all edits and arms. A micro
    average precision of an edit has no interval, the one of random chains has.

    Args:
        answers: By arm.
        beta: Of the scores; see :func:`indexing.matches.scores`.
        metric: Of the index.
        resamples: Bootstrap samples of micro average precision, at most :data:`MICRO_RESAMPLES`; 0
            for no intervals there.
        seed: Of the bootstrap.
    """
    first = next(iter(answers))
    summary: dict[str, Any] = {
        "pictures": len(answers[first].truth),
        "beta": beta,
        "arms": {},
        "differences": {},
    }
    draws = min(MICRO_RESAMPLES, resamples)
    for arm, found in answers.items():
        summary["arms"][arm] = figures(found, beta, metric)
        if found.chains is not None:
            detected = _detection(found, beta, metric) | _detection_interval(
                found, beta, metric, draws, seed
            )
            summary["arms"][arm]["detection"] = detected
    for arm in list(answers)[1:]:
        change = gains(answers[arm], answers[first])
        if answers[arm].chains is not None:
            change["detection"] = _detection_gain(
                answers[arm], answers[first], beta, metric, draws, seed
            )
        summary["differences"][f"{arm} - {first}"] = change
    tested = [row for change in summary["differences"].values() for row in change["edits"]]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    summary["comparisons"] = len(tested)
    return summary


def figures(found: Answers, beta: float, metric: Metric) -> dict[str, Any]:
    """Recalls and average precision of each edit, and their means over edits.

    Args:
        found: Of one arm.
        beta: Of the scores.
        metric: Of the index.
    """
    places = found.places()
    hits = {f"recall_at_{n}": (places >= 0) & (places < n) for n in RECALLS}
    ap = np.where(places >= 0, 1 / (np.maximum(places, 0) + 1.0), 0.0)
    rows = []
    for edit, (kind, parameter) in enumerate(found.labels):
        row: dict[str, Any] = {"attack": kind, "attack_param": parameter}
        for name, hit in hits.items():
            row[name] = float(hit[:, edit].mean())
            row[f"{name}_interval"] = proportion_interval(int(hit[:, edit].sum()), len(hit))
        row["ap"] = float(ap[:, edit].mean())
        row["ap_interval"] = share_interval(ap[:, edit])
        valued = scores(found.distances[:, edit], found.ids[:, edit], beta, metric)
        row["mu_ap"] = micro_average_precision(*pairs(valued, found.ids[:, edit], found.truth))
        rows.append(row)
    means: dict[str, Any] = {}
    for name, values in (hits | {"ap": ap}).items():
        means[name] = float(values.mean())
        means[f"{name}_interval"] = share_interval(values.mean(axis=1))
    means["mu_ap"] = float(np.mean([row["mu_ap"] for row in rows]))
    return {"edits": rows, "mean": means}


def gains(one: Answers, other: Answers) -> dict[str, Any]:
    """Differences of recall at 1 of each edit and of the mean over edits, paired over images."""
    hits, before = (found.places() == 0 for found in (one, other))
    rows = []
    for edit, (kind, parameter) in enumerate(one.labels):
        found = paired_recall(hits[:, edit], before[:, edit])
        rows.append(
            {
                "attack": kind,
                "attack_param": parameter,
                "recall_at_1": found.difference,
                "interval": found.interval,
                "p": found.p,
                "gained": found.gained,
                "lost": found.lost,
            }
        )
    gain = (hits.astype(float) - before).mean(axis=1)
    return {
        "edits": rows,
        "mean": {"recall_at_1": float(gain.mean()), "interval": gain_interval(gain)},
    }


def gain_interval(values: NDArray[np.float64]) -> Interval | None:
    """Interval of images' mean gain, by Student's t.

    Where no image changed, what so many images can miss.
    """
    found = mean_interval(values, (-1.0, 1.0))
    if found is None and len(values) > 1 and not values.any():
        missed = proportion_interval(0, len(values)).high
        return Interval(-missed, missed)
    return found


def _known(interval: Interval | None) -> dict[str, Interval]:
    return {} if interval is None else {"interval": interval}


def chained(found: Answers) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What was found after random chains."""
    assert found.chains is not None
    return found.chains


def padded_truth(found: Answers) -> NDArray[np.int64]:
    """Entry that each query after chains shows; -1 for strangers."""
    strangers = len(chained(found)[0]) - len(found.truth)
    return np.concatenate([found.truth, np.full(strangers, -1)])


def _detection(found: Answers, beta: float, metric: Metric) -> dict[str, Any]:
    distances, ids = chained(found)
    truth = padded_truth(found)
    own = pairs(scores(distances, ids, beta, metric), ids, truth)
    precision, recall, _ = precision_recall(*own)
    sure = recall[precision >= 0.9]
    return {
        "queries": len(found.truth),
        "strangers": len(truth) - len(found.truth),
        "mu_ap": micro_average_precision(*own),
        "mu_ap_missed_last": micro_average_precision(*own, how="last"),
        "recall_at_precision_90": float(sure.max()) if len(sure) else 0.0,
    }


def _detection_interval(
    found: Answers, beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Interval]:
    """Interval of micro average precision, with queries and strangers resampled apart."""
    truth, count = padded_truth(found), len(found.truth)
    distances, ids = chained(found)
    valued = scores(distances, ids, beta, metric)

    def value(queries: NDArray[np.int64], *strangers: NDArray[np.int64]) -> float:
        rows = np.concatenate([queries, *(count + places for places in strangers)])
        return micro_average_precision(*pairs(valued[rows], ids[rows], truth[rows]))

    sizes = [count, len(truth) - count] if len(truth) > count else [count]
    return _known(bootstrap_interval(value, *sizes, resamples=resamples, seed=seed))


def _detection_gain(
    one: Answers, other: Answers, beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Any]:
    """Difference of micro average precision, with the same queries and strangers resampled in both arms."""
    truth, count = padded_truth(one), len(one.truth)
    valued = [scores(*chained(found), beta=beta, metric=metric) for found in (one, other)]

    def gain(queries: NDArray[np.int64], *strangers: NDArray[np.int64]) -> float:
        rows = np.concatenate([queries, *(count + places for places in strangers)])
        a, b = (
            micro_average_precision(*pairs(value[rows], chained(found)[1][rows], truth[rows]))
            for value, found in zip(valued, (one, other), strict=True)
        )
        return a - b

    sizes = [count, len(truth) - count] if len(truth) > count else [count]
    found = {"mu_ap": gain(*(np.arange(size) for size in sizes))}
    return found | _known(bootstrap_interval(gain, *sizes, resamples=resamples, seed=seed))

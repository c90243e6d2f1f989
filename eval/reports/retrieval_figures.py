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
"""Numbers of first results that a recall is computed at."""


@dataclass(frozen=True)
class Answers:
    """Search results for the images of one arm.

    Attributes:
        labels: Kind and parameter of each of E edits.
        truth: (N,) index entry of each of N images.
        distances: (N, E, k) distances of the first k results after each edit.
        ids: (N, E, k) entries of the first k results.
        chains: Distances and entries after random chains of edits, (N + M, k) each; the last M
            rows are distractor queries. None for a study without chains.
    """

    labels: list[tuple[str, str]]
    truth: NDArray[np.int64]
    distances: NDArray[np.float32]
    ids: NDArray[np.int64]
    chains: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None

    def places(self) -> NDArray[np.int64]:
        """Rank of the true entry, (N, E), from 0; -1 if not found."""
        columns = [ranks(self.ids[:, edit], self.truth) for edit in range(len(self.labels))]
        return np.stack(columns, axis=1)


MICRO_RESAMPLES = 200
"""Greatest number of bootstrap samples of micro average precision, which is slow."""


def summarise(
    answers: Mapping[str, Answers], beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Any]:
    """Compute the figures of all arms, and differences from the first arm.

    Means weight all edits equally; the edits are fixed, not a sample of others. All arms have the
    same images, so differences are paired. Recalls have exact intervals. Differences of recall have
    McNemar's exact p, and Holm's correction over all edits and arms. The micro average precision of
    random chains has a bootstrap interval; that of an edit has none.

    Args:
        answers: Search results by arm, the reference arm first.
        beta: Parameter of the scores; see :func:`indexing.matches.scores`.
        metric: Metric of the index.
        resamples: Bootstrap samples of micro average precision, at most :data:`MICRO_RESAMPLES`; 0
            for no intervals of it.
        seed: Seed of the bootstrap.
    """
    baseline = next(iter(answers))
    summary: dict[str, Any] = {
        "pictures": len(answers[baseline].truth),
        "beta": beta,
        "arms": {},
        "differences": {},
    }
    resamples = min(MICRO_RESAMPLES, resamples)

    # Figures of each arm.
    for arm, answer in answers.items():
        summary["arms"][arm] = figures(answer, beta, metric)
        if answer.chains is not None:
            detection = _detection(answer, beta, metric)
            detection |= _detection_interval(answer, beta, metric, resamples, seed)
            summary["arms"][arm]["detection"] = detection

    # Differences from the first arm.
    for arm in list(answers)[1:]:
        change = gains(answers[arm], answers[baseline])
        if answers[arm].chains is not None:
            change["detection"] = _detection_gain(
                answers[arm], answers[baseline], beta, metric, resamples, seed
            )
        summary["differences"][f"{arm} - {baseline}"] = change

    # Holm's correction over all edits and arms.
    tested: list[dict[str, Any]] = []
    for change in summary["differences"].values():
        tested += change["edits"]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    summary["comparisons"] = len(tested)
    return summary


def figures(answer: Answers, beta: float, metric: Metric) -> dict[str, Any]:
    """Recalls and average precisions of each edit, and their means.

    Args:
        answer: Search results of one arm.
        beta: Parameter of the scores; see :func:`indexing.matches.scores`.
        metric: Metric of the index.
    """
    places = answer.places()
    hits = {f"recall_at_{n}": (places >= 0) & (places < n) for n in RECALLS}
    ap = np.where(places >= 0, 1 / (np.maximum(places, 0) + 1.0), 0.0)

    # Each edit.
    rows = []
    for edit, (kind, parameter) in enumerate(answer.labels):
        row: dict[str, Any] = {"attack": kind, "attack_param": parameter}
        for name, hit in hits.items():
            row[name] = float(hit[:, edit].mean())
            row[f"{name}_interval"] = proportion_interval(int(hit[:, edit].sum()), len(hit))
        row["ap"] = float(ap[:, edit].mean())
        row["ap_interval"] = share_interval(ap[:, edit])
        valued = scores(answer.distances[:, edit], answer.ids[:, edit], beta, metric)
        matches = pairs(valued, answer.ids[:, edit], answer.truth)
        row["mu_ap"] = micro_average_precision(*matches)
        rows.append(row)

    # Means over the edits, with intervals over images.
    means: dict[str, Any] = {}
    for name, values in (hits | {"ap": ap}).items():
        means[name] = float(values.mean())
        means[f"{name}_interval"] = share_interval(values.mean(axis=1))
    means["mu_ap"] = float(np.mean([row["mu_ap"] for row in rows]))
    return {"edits": rows, "mean": means}


def gains(one: Answers, other: Answers) -> dict[str, Any]:
    """Differences of recall at 1 between two arms.

    They are paired over images, for each edit and for the mean over edits.
    """
    hits = one.places() == 0
    hits_before = other.places() == 0
    rows = []
    for edit, (kind, parameter) in enumerate(one.labels):
        comparison = paired_recall(hits[:, edit], hits_before[:, edit])
        rows.append(
            {
                "attack": kind,
                "attack_param": parameter,
                "recall_at_1": comparison.difference,
                "interval": comparison.interval,
                "p": comparison.p,
                "gained": comparison.gained,
                "lost": comparison.lost,
            }
        )
    gain = (hits.astype(float) - hits_before).mean(axis=1)
    return {
        "edits": rows,
        "mean": {"recall_at_1": float(gain.mean()), "interval": gain_interval(gain)},
    }


def gain_interval(values: NDArray[np.float64]) -> Interval | None:
    """Interval of the mean gain over images, by Student's t.

    If no image changed, the interval has the share of changed images that so many images can miss.
    """
    interval = mean_interval(values, (-1.0, 1.0))
    if interval is None and len(values) > 1 and not values.any():
        missed = proportion_interval(0, len(values)).high
        return Interval(-missed, missed)
    return interval


def _with_interval(interval: Interval | None) -> dict[str, Interval]:
    """Entry of a known interval; empty for None."""
    return {} if interval is None else {"interval": interval}


def chained(answer: Answers) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distances and entries after random chains of edits."""
    assert answer.chains is not None
    return answer.chains


def padded_truth(answer: Answers) -> NDArray[np.int64]:
    """Index entry of each query after chains; -1 for distractors."""
    distractors = len(chained(answer)[0]) - len(answer.truth)
    return np.concatenate([answer.truth, np.full(distractors, -1)])


def _detection(answer: Answers, beta: float, metric: Metric) -> dict[str, Any]:
    """Copy-detection figures after random chains."""
    distances, ids = chained(answer)
    truth = padded_truth(answer)
    matches = pairs(scores(distances, ids, beta, metric), ids, truth)
    precision, recall, _ = precision_recall(*matches)
    recalls = recall[precision >= 0.9]
    return {
        "queries": len(answer.truth),
        "strangers": len(truth) - len(answer.truth),
        "mu_ap": micro_average_precision(*matches),
        "mu_ap_missed_last": micro_average_precision(*matches, how="last"),
        "recall_at_precision_90": float(recalls.max()) if len(recalls) else 0.0,
    }


def _sizes(answer: Answers) -> list[int]:
    """Numbers of true and of distractor queries, which are resampled separately."""
    count = len(answer.truth)
    distractors = len(padded_truth(answer)) - count
    return [count, distractors] if distractors else [count]


def _rows(
    count: int, queries: NDArray[np.int64], distractors: tuple[NDArray[np.int64], ...]
) -> NDArray[np.int64]:
    """Rows of a resample; distractor queries follow ``count`` true ones."""
    return np.concatenate([queries, *(count + numbers for numbers in distractors)])


def _detection_interval(
    answer: Answers, beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Interval]:
    """Bootstrap interval of micro average precision after random chains."""
    truth = padded_truth(answer)
    distances, ids = chained(answer)
    valued = scores(distances, ids, beta, metric)

    def value(queries: NDArray[np.int64], *distractors: NDArray[np.int64]) -> float:
        rows = _rows(len(answer.truth), queries, distractors)
        return micro_average_precision(*pairs(valued[rows], ids[rows], truth[rows]))

    interval = bootstrap_interval(value, *_sizes(answer), resamples=resamples, seed=seed)
    return _with_interval(interval)


def _detection_gain(
    one: Answers, other: Answers, beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Any]:
    """Difference of micro average precision between two arms, with its interval.

    Both arms have the same queries in a resample.
    """
    truth = padded_truth(one)
    arms = []
    for answer in (one, other):
        distances, ids = chained(answer)
        arms.append((scores(distances, ids, beta, metric), ids))

    def gain(queries: NDArray[np.int64], *distractors: NDArray[np.int64]) -> float:
        rows = _rows(len(one.truth), queries, distractors)
        values = []
        for valued, ids in arms:
            values.append(micro_average_precision(*pairs(valued[rows], ids[rows], truth[rows])))
        return values[0] - values[1]

    sizes = _sizes(one)
    difference = gain(*(np.arange(size) for size in sizes))
    interval = bootstrap_interval(gain, *sizes, resamples=resamples, seed=seed)
    return {"mu_ap": difference} | _with_interval(interval)

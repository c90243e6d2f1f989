"""Scores of protected and of control systems told apart: the paper's figures, and what they leave out.

Letters: N = keys, n = queries whose mean is one score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
FALSE_POSITIVE_RATES = (0.01, 0.10)


@dataclass(frozen=True)
class Separation:
    """Area under the ROC curve, and true-positive rates at 1 % and 10 % false positives, interpolated along the curve."""

    auc: float
    tpr_at_1: float
    tpr_at_10: float


def separation(positives: Scores, negatives: Scores) -> Separation:
    """How well scores tell protected (positive) from control systems, as the published evaluation computes it.

    Raises:
        ValueError: If a side is empty or has values that are not finite.
    """
    from sklearn.metrics import auc, roc_curve

    scores = np.concatenate([positives, negatives])
    if not len(positives) or not len(negatives) or not np.isfinite(scores).all():
        msg = f"both sides need finite scores, got {len(positives)} protected and {len(negatives)} control ones"
        raise ValueError(msg)
    false, true, _ = roc_curve(np.repeat([1, 0], [len(positives), len(negatives)]), scores)
    at = [float(np.interp(rate, false, true)) for rate in FALSE_POSITIVE_RATES]
    return Separation(float(auc(false, true)), *at)


@dataclass(frozen=True)
class Resampled:
    """Means over runs, their standard deviations, and why they may mean nothing, if so."""

    mean: Separation
    deviation: Separation
    runs: list[Separation]
    warning: str


def resampled(
    protected: Scores, control: Scores, queries: int, times: int, runs: int, seed: int, compat: bool
) -> Resampled:
    """The paper's protocol: many means of ``queries`` keys of either system, and their ROC curve.

    Args:
        protected: A score for each key, (N,).
        control: The same keys' scores without sentinels in the database, (N,).
        queries: Keys n of one mean.
        times: Means of each system in one run.
        runs: Curves.
        seed: Of the draws.
        compat: Draw keys without replacement and the same for both systems, as the published evaluation; else with replacement and
            separately, which does not shrink to one comparison as n comes near N.

    Raises:
        ValueError: If there are too few keys.
    """
    count = len(protected)
    if not 1 <= queries <= count or len(control) != count:
        msg = f"{queries} queries need at least as many keys that both systems answered; there are {count}"
        raise ValueError(msg)
    rng, found = np.random.default_rng(seed), []
    for _ in range(runs):
        first = _draws(rng, count, queries, times, compat)
        second = first if compat else _draws(rng, count, queries, times, compat)
        found.append(separation(protected[first].mean(axis=1), control[second].mean(axis=1)))
    values = np.array([[run.auc, run.tpr_at_1, run.tpr_at_10] for run in found])
    return Resampled(
        Separation(*values.mean(axis=0)),
        Separation(*values.std(axis=0)),
        found,
        degenerate(queries, count, compat),
    )


def degenerate(queries: int, count: int, compat: bool) -> str:
    """Why resampled means of so many queries out of so many keys mean little; empty if they do not."""
    if compat and queries == count:
        return f"degenerate: every draw of {queries} of {count} keys is the same, so the curve is one comparison; ask more keys"
    if queries > count / 2:
        return f"near degenerate: means of {queries} of {count} keys hardly differ; ask at least {2 * queries} keys"
    return ""


def _draws(
    rng: np.random.Generator, count: int, queries: int, times: int, compat: bool
) -> NDArray[np.int64]:
    if compat:
        return np.stack([rng.choice(count, queries, replace=False) for _ in range(times)])
    return rng.integers(count, size=(times, queries))


def threshold(
    control: Scores, queries: int, rate: float, seed: int, resamples: int = 100_000
) -> float:
    """The mean of ``queries`` scores that control systems exceed at a chosen rate at most.

    For one query it is the order statistic that keeps the rate for a further control score whatever their distribution (infinite where
    there are too few of them); for more, a quantile of means of controls drawn with replacement.
    """
    if queries == 1:
        place = int(np.ceil((1 - rate) * (len(control) + 1)))
        return float(np.sort(control)[place - 1]) if place <= len(control) else float("inf")
    rng = np.random.default_rng(seed)
    means = control[rng.integers(len(control), size=(resamples, queries))].mean(axis=1)
    return float(np.quantile(means, 1 - rate, method="higher"))

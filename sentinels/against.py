"""Comparison of a system with a control system that lacks the sentinels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import Interval, auc_interval, bootstrap_interval, least_negatives
from sentinels.compared import Compared
from sentinels.decide_config import DecideConfig
from sentinels.roc import degenerate, resampled, separation, threshold

Scores = NDArray[np.float64]

RESAMPLES = 1000
"""Resamples of the keys for the interval of an AUC."""

RATE_RESAMPLES = RESAMPLES // 5
"""Resamples of the keys for the interval of a true-positive rate, which takes longer."""


def against_control(protected: Compared, control: Compared, config: DecideConfig) -> dict[str, Any]:
    """Compute ROC figures over the keys that both systems answered.

    The unit is a key. Intervals resample keys, with the scores of both systems, before means are
    drawn from them; the deviation between draws does not carry over to other keys. The published
    protocol (``compat``) has no intervals. The true-positive rate at 1 % false positives is None
    below 300 keys, that at 10 % below 30, also in each of ``runs``.

    Args:
        protected: The tested system.
        control: The system without the sentinels.
        config: Settings of the decision.
    """
    common = [name for name in protected.names if name in control.own]
    scores = np.array([protected.own[name] for name in common])
    others = np.array([control.own[name] for name in common])
    # ROC curves, and the threshold of the mean of all keys.
    curve = resampled(
        scores, others, config.queries, config.times, config.runs, config.seed, config.compat
    )
    limit = threshold(scores, others, config.fpr, config.seed)
    # AUC with its interval.
    single = single_query_interval(scores, others)
    bounds = None if config.compat else means_interval(scores, others, config, single)
    figures: dict[str, Any] = {
        "common_keys": len(common),
        "queries": config.queries,
        "auc": curve.mean.auc,
        "auc_interval": bounds,
    }
    # True-positive rates, if there are enough keys.
    rates = {1: curve.mean.tpr_at_1, 10: curve.mean.tpr_at_10}
    runs = [asdict(run) for run in curve.runs]
    for rate, value in rates.items():
        enough = len(common) >= least_negatives(rate / 100)
        interval = None
        if enough and not config.compat:
            interval = rate_interval(scores, others, config, rate)
        figures[f"tpr_at_{rate}_fpr"] = value if enough else None
        figures[f"tpr_at_{rate}_fpr_interval"] = interval
        if not enough:
            runs = [run | {f"tpr_at_{rate}": None} for run in runs]
    return figures | {
        "deviation_of_draws": asdict(curve.deviation),
        "single_query_auc": separation(scores, others).auc,
        "single_query_auc_interval": single,
        "threshold": asdict(limit),
        "warning": curve.warning or degenerate(config.queries, len(common), config.compat),
        "runs": runs,
    }


def single_query_interval(scores: Scores, others: Scores) -> Interval | None:
    """Compute DeLong's interval of the AUC of single queries.

    The scores of both systems for a key form one unit.
    """
    keys = np.tile(np.arange(len(scores)), 2).astype(str)
    label = np.repeat([1, 0], len(scores))
    return auc_interval(label, np.concatenate([scores, others]), keys)


def means_interval(
    scores: Scores, others: Scores, config: DecideConfig, single: Interval | None
) -> Interval | None:
    """Compute the interval of the AUC of means of several keys.

    Args:
        scores: Similarities of the system, (N,).
        others: Similarities of the control, (N,).
        config: Settings; a mean is over ``queries`` keys.
        single: Interval for single queries, the fallback if all resamples have the same AUC.
    """
    if config.queries == 1:
        return single
    rng = np.random.default_rng(config.seed)
    count = len(scores)
    shape = (config.times, config.queries)

    def statistic(keys: NDArray[np.int64]) -> float:
        first = keys[rng.integers(count, size=shape)]
        second = keys[rng.integers(count, size=shape)]
        return mann_whitney(scores[first].mean(axis=1), others[second].mean(axis=1))

    interval = bootstrap_interval(statistic, count, resamples=RESAMPLES, seed=config.seed)
    return single if interval is None else interval


def mann_whitney(positives: Scores, negatives: Scores) -> float:
    """Compute the AUC of two samples; ties count one half."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    up_to = np.searchsorted(ordered, positives, "right")
    return float((below + up_to).mean() / (2 * len(negatives)))


def rate_interval(
    scores: Scores, others: Scores, config: DecideConfig, rate: int
) -> Interval | None:
    """Compute the interval of the true-positive rate at a false-positive rate.

    Args:
        scores: Similarities of the system, (N,).
        others: Similarities of the control, (N,).
        config: Settings of the decision.
        rate: False-positive rate in percent, 1 or 10.
    """

    def statistic(keys: NDArray[np.int64]) -> float:
        curve = resampled(
            scores[keys], others[keys], config.queries, config.times, 1, config.seed, compat=False
        )
        return curve.mean.tpr_at_1 if rate == 1 else curve.mean.tpr_at_10

    return bootstrap_interval(statistic, len(scores), resamples=RATE_RESAMPLES, seed=config.seed)

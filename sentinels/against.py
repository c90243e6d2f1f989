"""Figures of a system against a control system without the sentinels, with their uncertainty over keys."""

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
"""Resamples of the keys for the interval of an AUC; a fifth for those of rates."""


def against_control(protected: Compared, control: Compared, config: DecideConfig) -> dict[str, Any]:
    """Tell the systems apart by the keys that both answered.

    Unit: a key. Intervals are over keys, which are resampled with both systems' scores before means
    are drawn from them; the deviation of the draws alone says nothing of other keys. A rate at 1 %
    false positives is None below 300 keys, at 10 % below 30. The published protocol (``compat``)
    has no interval.

    Args:
        protected: The system.
        control: The system without the sentinels.
        config: How.
    """
    common = [name for name in protected.names if name in control.own]
    scores, others = (
        np.array([side.own[name] for name in common]) for side in (protected, control)
    )
    curve = resampled(
        scores, others, config.queries, config.times, config.runs, config.seed, config.compat
    )
    eta = threshold(others, config.queries, config.fpr, config.seed)
    single = single_query_interval(scores, others)
    bounds = None if config.compat else means_interval(scores, others, config, single)
    rates = {1: curve.mean.tpr_at_1, 10: curve.mean.tpr_at_10}
    found: dict[str, Any] = {
        "common_keys": len(common),
        "queries": config.queries,
        "auc": curve.mean.auc,
        "auc_interval": bounds,
    }
    for rate, value in rates.items():
        enough = len(common) >= least_negatives(rate / 100)
        found[f"tpr_at_{rate}_fpr"] = value if enough else None
        found[f"tpr_at_{rate}_fpr_interval"] = (
            rate_interval(scores, others, config, rate) if enough and not config.compat else None
        )
    return found | {
        "deviation_of_draws": asdict(curve.deviation),
        "single_query_auc": separation(scores, others).auc,
        "single_query_auc_interval": single,
        "threshold": {
            "fpr": config.fpr,
            "eta": eta if np.isfinite(eta) else None,
            "exceeded": bool(scores.mean() > eta),
        },
        "warning": curve.warning or degenerate(config.queries, len(common), config.compat),
        "runs": [asdict(run) for run in curve.runs],
    }


def single_query_interval(scores: Scores, others: Scores) -> Interval | None:
    """DeLong's interval of the AUC of single queries; both scores of a key are one unit."""
    keys = np.tile(np.arange(len(scores)), 2).astype(str)
    label = np.repeat([1, 0], len(scores))
    return auc_interval(label, np.concatenate([scores, others]), keys)


def means_interval(
    scores: Scores, others: Scores, config: DecideConfig, single: Interval | None
) -> Interval | None:
    """Interval over keys of the AUC of means of ``queries`` keys.

    Args:
        scores: The system's, (N,).
        others: The control's, (N,).
        config: How.
        single: Interval for single queries, which stands in where every resample separates the
            systems.
    """
    if config.queries == 1:
        return single
    rng = np.random.default_rng(config.seed)
    count, shape = len(scores), (config.times, config.queries)

    def statistic(keys: NDArray[np.int64]) -> float:
        first, second = (keys[rng.integers(count, size=shape)] for _ in range(2))
        return mann_whitney(scores[first].mean(axis=1), others[second].mean(axis=1))

    found = bootstrap_interval(statistic, count, resamples=RESAMPLES, seed=config.seed)
    return single if found is None else found


def mann_whitney(positives: Scores, negatives: Scores) -> float:
    """AUC of two samples; ties count one half."""
    ordered = np.sort(negatives)
    below, up_to = (np.searchsorted(ordered, positives, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(negatives)))


def rate_interval(
    scores: Scores, others: Scores, config: DecideConfig, rate: int
) -> Interval | None:
    """Interval over keys of the true-positive rate at a false-positive rate.

    Args:
        scores: The system's, (N,).
        others: The control's, (N,).
        config: How.
        rate: 1 or 10 per cent.
    """

    def statistic(keys: NDArray[np.int64]) -> float:
        found = resampled(
            scores[keys], others[keys], config.queries, config.times, 1, config.seed, compat=False
        )
        return found.mean.tpr_at_1 if rate == 1 else found.mean.tpr_at_10

    return bootstrap_interval(statistic, len(scores), resamples=RESAMPLES // 5, seed=config.seed)

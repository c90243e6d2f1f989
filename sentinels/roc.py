"""ROC metrics between protected and control systems, with uncertainty.

Letters: N = keys, n = queries whose mean is one score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
FALSE_POSITIVE_RATES = (0.01, 0.10)
"""Rates at which true positives are reported."""

SIGN_PATTERNS = 9999
"""Sign patterns behind a threshold; if there are more, this many are drawn."""


@dataclass(frozen=True)
class Separation:
    """Figures of a ROC curve.

    Attributes:
        auc: Area under the curve, 0 to 1.
        tpr_at_1: True-positive rate at 1 % false positives, interpolated along the curve.
        tpr_at_10: True-positive rate at 10 %, likewise.
    """

    auc: float
    tpr_at_1: float
    tpr_at_10: float


def separation(positives: Scores, negatives: Scores) -> Separation:
    """Compute the ROC figures of protected (positive) against control (negative) scores.

    The definitions are those of the published evaluation.

    Raises:
        ValueError: If a side is empty or has values that are not finite.
    """
    from sklearn.metrics import auc, roc_curve

    scores = np.concatenate([positives, negatives])
    if not len(positives) or not len(negatives) or not np.isfinite(scores).all():
        msg = (
            f"both sides need finite scores, got {len(positives)} protected and "
            f"{len(negatives)} control ones"
        )
        raise ValueError(msg)
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    fpr, tpr, _ = roc_curve(labels, scores)
    tpr_at = [float(np.interp(rate, fpr, tpr)) for rate in FALSE_POSITIVE_RATES]
    return Separation(float(auc(fpr, tpr)), *tpr_at)


@dataclass(frozen=True)
class Resampled:
    """ROC figures over repeated runs.

    Attributes:
        mean: Means over the runs.
        deviation: Standard deviations over the runs.
        runs: Figures of each run.
        warning: Reason why the figures mean little; empty without one.
    """

    mean: Separation
    deviation: Separation
    runs: list[Separation]
    warning: str


def resampled(
    protected: Scores, control: Scores, queries: int, times: int, runs: int, seed: int, compat: bool
) -> Resampled:
    """Compute ROC figures of means of ``queries`` keys by the paper's protocol.

    Args:
        protected: A score for each key, (N,).
        control: The same keys' scores without sentinels in the database, (N,).
        queries: Number n of keys in one mean, 1 to N.
        times: Means of each system in one run.
        runs: Number of runs, each with one curve.
        seed: Seed of the draws.
        compat: Draw keys without replacement and the same for both systems, as the published
            evaluation does. Else keys are drawn with replacement and separately, which does not
            shrink to one comparison as n approaches N.

    Raises:
        ValueError: If there are too few keys.
    """
    count = len(protected)
    if not 1 <= queries <= count or len(control) != count:
        msg = (
            f"{queries} queries need at least as many keys that both systems answered; "
            f"there are {count}"
        )
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    results = []
    for _ in range(runs):
        drawn = _draw_keys(rng, count, queries, times, compat)
        control_drawn = drawn if compat else _draw_keys(rng, count, queries, times, compat)
        protected_means = protected[drawn].mean(axis=1)
        results.append(separation(protected_means, control[control_drawn].mean(axis=1)))
    values = np.array([[run.auc, run.tpr_at_1, run.tpr_at_10] for run in results])
    return Resampled(
        Separation(*values.mean(axis=0)),
        Separation(*values.std(axis=0)),
        results,
        degenerate(queries, count, compat),
    )


def degenerate(queries: int, count: int, compat: bool) -> str:
    """Return a warning if resampled means hardly differ; empty if they do.

    Args:
        queries: Number of keys in one mean.
        count: Number of keys.
        compat: Keys are drawn without replacement.
    """
    if compat and queries == count:
        return (
            f"degenerate: every draw of {queries} of {count} keys is the same, "
            "so the curve is one comparison; ask more keys"
        )
    if queries > count / 2:
        return (
            f"near degenerate: means of {queries} of {count} keys hardly differ; "
            f"ask at least {2 * queries} keys"
        )
    return ""


def _draw_keys(
    rng: np.random.Generator, count: int, queries: int, times: int, compat: bool
) -> NDArray[np.int64]:
    """Draw indices of keys, (times, queries), without replacement in a row if ``compat``."""
    if compat:
        return np.stack([rng.choice(count, queries, replace=False) for _ in range(times)])
    return rng.integers(count, size=(times, queries))


@dataclass(frozen=True)
class Threshold:
    """Threshold of a system's mean score, set on a control.

    Attributes:
        fpr: Rate at which the mean of a system like the control exceeds it.
        keys: Number of keys in the mean.
        eta: The threshold; None with too few keys for the rate.
        exceeded: Whether the system's mean exceeds it; None without a threshold.
    """

    fpr: float
    keys: int
    eta: float | None
    exceeded: bool | None


def threshold(scores: Scores, control: Scores, rate: float, seed: int) -> Threshold:
    """Set a threshold on the mean score of all keys, and compare the system's mean with it.

    It comes from the sign-flip permutation test of the keys' differences. Its size is that of the
    mean that is compared with it.

    Unit: one key, with the scores of both systems.
    Assumes: under the null hypothesis, the system is like the control, so that the two scores of a
    key may be exchanged.
    Fails: for a system that differs from the control in more than the sentinels.

    Args:
        scores: Scores of the system, (N,).
        control: Scores of the control for the same keys, (N,).
        rate: Accepted rate of false positives, in (0, 1).
        seed: Seed of the drawn sign patterns, beyond 13 keys.
    """
    from scipy.stats import permutation_test

    differences = scores - control
    keys = len(differences)
    if keys < 2:
        return Threshold(rate, keys, None, None)
    test = permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=SIGN_PATTERNS,
        rng=np.random.default_rng(seed),
    )
    # So many patterns may reach the mean difference at a p-value of at most the rate.
    patterns = np.sort(test.null_distribution)[::-1]
    is_exact = len(patterns) == 2**keys
    allowed = int(np.floor(rate * len(patterns) if is_exact else rate * (len(patterns) + 1) - 1))
    if allowed < (1 if is_exact else 0):
        return Threshold(rate, keys, None, None)
    eta = float(control.mean() + patterns[allowed])
    return Threshold(rate, keys, eta, bool(test.pvalue <= rate))

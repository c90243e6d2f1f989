"""Random studies of people and of keys, for :mod:`benchmarks.statistics`.

The truth is known, and the data have the shapes of this project's data. Each study is a function of
a random generator. It returns True if the interval holds the truth, or if the test rejects.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from engine import statistics as st
from sentinels.against import means_interval, single_query_interval
from sentinels.decide_config import DecideConfig

Values = NDArray[np.float64]
Study = Callable[[np.random.Generator], bool]


def holds(interval: st.Interval | None, truth: float) -> bool:
    """Return True if an interval exists and holds the truth."""
    return interval is not None and interval.low <= truth <= interval.high


def logistic_mean(mean: float, sd: float) -> float:
    """Compute the mean of the logistic of a normal variable by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((expit(mean + sd * nodes) * weights).sum() / weights.sum())


# ---- people and images ----


def answers(
    rng: np.random.Generator, people: int, images: int, sds: tuple[float, float], mean: float
) -> Values:
    """Draw answers with effects of people and images on the logit.

    Args:
        rng: Random generator.
        people: Number of people.
        images: Number of images.
        sds: Standard deviations of the effects of people and of images.
        mean: Mean logit.

    Returns:
        (people, images), 1 for right answers, 0 for wrong ones.
    """
    effects = rng.normal(0, sds[0], (people, 1)) + rng.normal(0, sds[1], (1, images))
    return (rng.random((people, images)) < expit(mean + effects)).astype(float)


def human_share(
    rng: np.random.Generator, people: int, images: int, sds: tuple[float, float], seen: float = 1.0
) -> bool:
    """Check the interval of the share of right answers.

    Args:
        rng: Random generator.
        people: Number of people.
        images: Number of images.
        sds: Standard deviations of the effects of people and of images.
        seen: Share of the images that each person sees.
    """
    right = answers(rng, people, images, sds, 0.55)
    answered = (rng.random(right.shape) < seen).astype(float)
    truth = logistic_mean(0.55, float(np.hypot(*sds)))
    seed = int(rng.integers(2**31))
    interval = st.crossed_share_interval(right * answered, answered, resamples=400, seed=seed)
    return holds(interval, truth)


def human_guessing(
    rng: np.random.Generator, people: int, sds: tuple[float, float], mean: float
) -> bool:
    """Test if people are right in half of 40 pairs on average.

    Args:
        rng: Random generator.
        people: Number of people.
        sds: Standard deviations of the effects of people and of images.
        mean: Mean logit; 0 is guessing.
    """
    right = answers(rng, people, 40, sds, mean)
    p = st.crossed_test(right, np.ones_like(right), 0.5).p
    return p is not None and p <= 0.05


def ratings(rng: np.random.Generator, people: int, items: int, difference: float) -> st.CrossedTest:
    """Compare the ratings of two versions of each item by the same people.

    People and items differ in their ratings, and in what a version means to them.

    Args:
        rng: Random generator.
        people: Number of people.
        items: Number of items.
        difference: True mean difference of the versions, on a scale with a noise of 1.
    """
    tables = []
    shared = rng.normal(0, 0.8, (people, 1)) + rng.normal(0, 0.8, (1, items))
    for mean in (difference, 0.0):
        own = rng.normal(0, 0.3, (people, 1)) + rng.normal(0, 0.3, (1, items))
        values = mean + shared + own + rng.normal(size=(people, items))
        tables.append((values, np.ones((people, items))))
    return st.crossed_difference(*tables)


def rating_difference(rng: np.random.Generator, people: int, items: int) -> bool:
    """Check the interval of the difference of two versions' ratings."""
    return holds(ratings(rng, people, items, 0.5).interval, 0.5)


def rating_tested(rng: np.random.Generator, people: int, items: int, difference: float) -> bool:
    """Test the difference of two versions' ratings at level 0.05."""
    p = ratings(rng, people, items, difference).p
    return p is not None and p <= 0.05


def verdicts(rng: np.random.Generator, images: int) -> bool:
    """Check the exact interval of a detector's accuracy over distinct images."""
    return holds(st.proportion_interval(int(rng.binomial(images, 0.8)), images), 0.8)


# ---- keys ----


def key_shares(rng: np.random.Generator, keys: int, trials: int, concentration: float) -> bool:
    """Check the interval of the trigger rate over keys.

    Args:
        rng: Random generator.
        keys: Number of keys.
        trials: Number of trials of each key.
        concentration: Concentration of the keys' rates; a low one gives rates near 0 or 1.
    """
    rates = rng.beta(0.7 * concentration, 0.3 * concentration, keys)
    return holds(st.share_interval(rng.binomial(trials, rates) / trials), 0.7)


def key_means(rng: np.random.Generator, keys: int) -> bool:
    """Check the interval of the mean similarity of few keys."""
    return holds(st.mean_interval(rng.normal(0.5, 0.15, keys), (-1, 1)), 0.5)


def against_keys(rng: np.random.Generator, keys: int, queries: int) -> bool:
    """Check the interval of the AUC against a control without the sentinels.

    Args:
        rng: Random generator.
        keys: Number of keys.
        queries: Number of queries in the mean that is one score.
    """
    scores = rng.normal(0.35, 0.1, keys)
    others = rng.normal(0.3, 0.1, keys)
    config = DecideConfig(queries=queries, seed=int(rng.integers(2**31)))
    single = single_query_interval(scores, others)
    truth = norm.cdf(0.5 * np.sqrt(queries / 2))
    return holds(means_interval(scores, others, config, single), float(truth))


def pairing(rng: np.random.Generator, keys: int, shift: float) -> bool:
    """Run the pairing test at level 0.05 on similarities with shared effects.

    Args:
        rng: Random generator.
        keys: Number of keys.
        shift: Effect of use on the similarity of a true pair, in standard deviations.
    """
    cosines = rng.normal(size=(keys, keys))
    sentinel_effects = rng.normal(size=(1, keys))
    output_effects = rng.normal(size=(keys, 1))
    cosines = cosines + sentinel_effects + output_effects
    return st.pairing_test((cosines + shift * np.eye(keys)) / 20, 0, draws=199).p <= 0.05


# ---- few people ----


def lost_faces(rng: np.random.Generator, people: int, truth: float, concentration: float) -> bool:
    """Check the interval of the FDFR over people with twelve images each.

    Args:
        rng: Random generator.
        people: Number of people.
        truth: Mean rate.
        concentration: Concentration of the people's rates; a low one gives rates near 0 or 1.
    """
    rates = rng.beta(truth * concentration, (1 - truth) * concentration, people)
    return holds(st.share_interval(rng.binomial(12, rates) / 12), truth)


def skewed(rng: np.random.Generator, people: int) -> Values:
    """Draw bounded and skewed losses of ISM; some images lose the face."""
    base = rng.beta(6, 3, (people, 12)) * 0.4
    return np.where(rng.random((people, 12)) < rng.beta(1, 4, (people, 1)), 0.8, base).mean(axis=1)


SKEWED_MEAN = 0.2 * 0.8 + 0.8 * 0.4 * 6 / 9
"""True mean of :func:`skewed`."""


def loss_of_ism(rng: np.random.Generator, people: int) -> bool:
    """Check the interval of a paired difference of ISM over few people."""
    return holds(st.paired_difference(skewed(rng, people), np.zeros(people)).interval, SKEWED_MEAN)


def no_loss(rng: np.random.Generator, people: int) -> bool:
    """Run the sign-flip test without a difference."""
    return st.paired_difference(skewed(rng, people), skewed(rng, people)).p <= 0.05


def a_loss(rng: np.random.Generator, people: int) -> bool:
    """Run the sign-flip test on a loss of RID's size."""
    return st.paired_difference(skewed(rng, people), np.zeros(people)).p <= 0.05


def many_looks(rng: np.random.Generator, people: int, comparisons: int) -> bool:
    """Check for a rejection after Holm among comparisons without a difference.

    Args:
        rng: Random generator.
        people: Number of people.
        comparisons: Number of comparisons.
    """
    noise = rng.normal(size=(comparisons, people))
    p = [st.paired_difference(row, np.zeros(people)).p for row in noise]
    return min(st.holm(p)) <= 0.05

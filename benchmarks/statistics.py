"""Coverage of every interval and error rate of every test, by simulation with a known truth, as a Markdown table.

``python -m benchmarks.statistics`` draws ten times as many studies as ``tests/statistics``;
docs/results/statistics.md has its output.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import simulations as draw
from benchmarks.simulations import Study
from engine.pages.markdown import markdown_table

SKEW = "skewed, with few units"
FEW_ERRORS = "few errors decide, and are seen or not"


@dataclass(frozen=True)
class Simulation:
    """A kind of study and what its figure promises.

    Attributes:
        name: The figure and the data's shape.
        kind: Number of the fault in the list of misread figures that it answers; 0 for none.
        study: Draws one study.
        promise: ``covers``: True in at least 95 %. ``errs``: True in at most ``level``. ``finds``:
            reported only.
        level: Of a test.
        limit: Why less is reached than promised, where that is known. The table shows the
            shortfall; tests ask for 0.85.
        replicates: Studies that the tests draw; the table draws ten times as many.
    """

    name: str
    kind: int
    study: Study
    promise: str = "covers"
    level: float = 0.05
    limit: str = ""
    replicates: int = 200

    @property
    def least(self) -> float:
        """What is asked of the share of studies that hold the truth."""
        return 0.85 if self.limit else 0.95


def simulations() -> list[Simulation]:
    """All kinds of studies."""
    both, clear = (0.4, 1.0), (0.0, 0.0)
    made = [
        Simulation(f"share of answers, {people} people x 100 images, sd {sds[0]:g} and {sds[1]:g}", 1,
                   partial(draw.human_share, people=people, images=100, sds=sds), replicates=100)
        for people in (10, 20, 50) for sds in (clear, (0.4, 0.0), both)
    ]  # fmt: skip
    made += [
        Simulation("share of answers, 20 people who see a fifth of 200 images", 1,
                   partial(draw.human_share, people=20, images=200, sds=both, seen=0.2), replicates=100),
        Simulation("test of guessing, 20 people x 40 pairs, none tell", 1,
                   partial(draw.human_guessing, people=20, sds=(0.3, 1.0), mean=0.0), "errs"),
        Simulation("test of guessing, 20 people x 40 pairs, pure coin tossing", 1,
                   partial(draw.human_guessing, people=20, sds=clear, mean=0.0), "errs"),
        Simulation("test of guessing, 20 people x 40 pairs, 60 % right", 1,
                   partial(draw.human_guessing, people=20, sds=(0.3, 0.5), mean=0.43), "finds"),
        Simulation("detector beside people, 100 distinct images", 2, partial(draw.verdicts, images=100)),
        Simulation("pairing test, 6 keys, no use", 3, partial(draw.pairing, keys=6, shift=0.0), "errs"),
        Simulation("pairing test, 20 keys, no use", 3, partial(draw.pairing, keys=20, shift=0.0), "errs"),
        Simulation("pairing test, 20 keys, use", 3, partial(draw.pairing, keys=20, shift=1.0), "finds"),
    ]  # fmt: skip
    made += [
        Simulation(f"AUC against a control, {keys} keys, {queries} queries a score", 4,
                   partial(draw.against_keys, keys=keys, queries=queries), replicates=100 if queries == 1 else 40)
        for keys, queries in ((20, 1), (20, 10), (50, 10))
    ]  # fmt: skip
    made += [
        Simulation(f"trigger rate, {keys} keys x {trials} trials, {words}", 5,
                   partial(draw.key_shares, keys=keys, trials=trials, concentration=concentration))
        for keys, trials, concentration, words in (
            (20, 1, 2.0, "varied"), (20, 4, 2.0, "varied"), (10, 10, 2.0, "varied"),
            (10, 10, 0.05, "all or nothing"), (20, 4, 1000.0, "alike"))
    ]  # fmt: skip
    made += [
        Simulation(f"mean similarity, {keys} keys", 6, partial(draw.key_means, keys=keys))
        for keys in (2, 3, 5, 20)
    ]
    made += [
        Simulation(f"FDFR {truth:g}, {people} people x 12 images", 7,
                   partial(draw.lost_faces, people=people, truth=truth, concentration=concentration),
                   limit=SKEW if truth == 0.86 and people > 3 else "")
        for truth, concentration in ((0.03, 0.5), (0.26, 2.0), (0.86, 2.0)) for people in (3, 6, 12)
    ]  # fmt: skip
    made += [
        Simulation(f"AUC {auc:g}, {count} + {count} images", 9,
                   partial(draw.ranked, count=count, auc=auc),
                   limit=FEW_ERRORS if (auc, count) == (0.998, 200) else "")
        for auc in (0.9, 0.98, 0.998) for count in (20, 50, 200)
    ]  # fmt: skip
    made += [
        Simulation("AUC of tied scores, 50 + 50 images", 9, partial(draw.tied, count=50)),
        Simulation("AUC, 50 photographs with 3 reconstructions each", 9,
                   partial(draw.clustered_ranking, clusters=50)),
        Simulation("change of AUC after an edit, 100 + 100 images", 9,
                   partial(draw.edited_ranking, count=100)),
    ]  # fmt: skip
    made += [
        Simulation(f"worst of {generators} generators x {images} images, {words}", 11,
                   partial(draw.worst_generator, generators=generators, images=images, spread=spread), replicates=100)
        for generators, images in ((5, 20), (10, 50), (29, 200))
        for spread, words in ((0.0, "all equal"), (0.05, "spread"))
    ]  # fmt: skip
    made += [
        Simulation(f"calibration error of {images} calibrated images, {words}", 12,
                   partial(draw.calibrated, images=images, shape=shape), "errs")
        for images in (50, 600) for shape, words in ((1.0, "uniform"), (0.2, "sharp"))
    ]  # fmt: skip
    made += [
        Simulation(f"gain of recall {gain:g}, 200 images", 13,
                   partial(draw.recall_gain, images=200, gain=gain))
        for gain in (0.005, 0.01, 0.02, 0.05)
    ]  # fmt: skip
    made += [
        Simulation("McNemar's test, 200 images, no gain", 13,
                   partial(draw.recall_tested, images=200, gain=0.0), "errs"),
        Simulation("McNemar's test, 200 images, gain 0.1", 13,
                   partial(draw.recall_tested, images=200, gain=0.1), "finds"),
        Simulation("mean recall of 15 edits, 200 images", 14, partial(draw.mean_of_edits, images=200)),
        Simulation("bootstrap of a skewed mean, 20 units", 14, partial(draw.resampled_mean, units=20), limit=SKEW),
        Simulation("bootstrap of a skewed mean, 200 units", 14, partial(draw.resampled_mean, units=200)),
        Simulation("any of 36 comparisons after Holm, 6 people", 16,
                   partial(draw.many_looks, people=6, comparisons=36), "errs", replicates=50),
        Simulation("any of 4 comparisons after Holm, 12 people", 16,
                   partial(draw.many_looks, people=12, comparisons=4), "errs", replicates=50),
    ]  # fmt: skip
    made += [
        Simulation(
            f"loss of ISM, {people} people",
            16,
            partial(draw.loss_of_ism, people=people),
            limit=SKEW,
        )
        for people in (3, 6, 12)
    ]
    made += [
        Simulation(
            "sign-flip test, 6 people, no loss", 16, partial(draw.no_loss, people=6), "errs"
        ),
        Simulation("sign-flip test, 6 people, a loss", 16, partial(draw.a_loss, people=6), "finds"),
    ]
    return made


def share_true(simulation: Simulation, replicates: int, seed: int) -> float:
    """Share of studies that hold the truth or reject."""
    rng = np.random.default_rng(seed)
    return float(np.mean([simulation.study(rng) for _ in range(replicates)]))


def rows(times: int, only: str = "") -> Iterator[list[str]]:
    """A row for each kind of study.

    Figure, what is promised, what is reached, and how many studies were drawn.
    """
    for seed, simulation in enumerate(simulations()):
        if only not in simulation.name:
            continue
        replicates = times * simulation.replicates
        reached = share_true(simulation, replicates, seed)
        promised = {"covers": "holds 0.95", "errs": f"errs in {simulation.level:g}"}
        words = promised.get(simulation.promise, "finds")
        error = np.sqrt(reached * (1 - reached) / replicates)
        row = [simulation.name, words, f"{reached:.3f} ±{error:.3f}", f"{replicates:,}"]
        yield [*row, simulation.limit or "-"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="times the replicates of the tests")
    parser.add_argument("--only", default="", help="part of a figure's name")
    options = parser.parse_args()
    head = ["figure and data", "promise", "reached, ± its standard error", "studies", "known limit"]
    print(markdown_table(head, []), flush=True)
    for row in rows(options.times, options.only):
        print(markdown_table(head, [row]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()

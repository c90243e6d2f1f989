"""Simulated studies of :mod:`benchmarks.statistics` and the promise of each figure.

The order of the studies decides their seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks import image_simulations as draw_images
from benchmarks import selected_simulations as draw_selected
from benchmarks import simulations as draw
from benchmarks.simulations import Study

SKEW = "skewed, with few units"
FEW_ERRORS = "a few errors decide the AUC"


@dataclass(frozen=True)
class Simulation:
    """Simulated study with the promise of its figure.

    Attributes:
        name: The figure and the shape of the data.
        study: Function that draws one study.
        promise: ``covers``: the study returns True in at least 95 %. ``errs``: it returns True in
            at most ``level``. ``finds``: no promise; the share is only reported.
        level: Level of the test, for ``errs``.
        limit: Known reason why the figure falls short of its promise, or empty. The tests then ask
            for 0.85.
        replicates: Number of studies that the tests draw.
    """

    name: str
    study: Study
    promise: str = "covers"
    level: float = 0.05
    limit: str = ""
    replicates: int = 200

    @property
    def least(self) -> float:
        """Return the share of intervals that must hold the truth."""
        return 0.85 if self.limit else 0.95


def simulations() -> list[Simulation]:
    """List all simulated studies."""
    return [
        *_human_studies(),
        *_key_studies(),
        *_lost_face_studies(),
        *_detector_studies(),
        *_recall_studies(),
        *_few_people_studies(),
        *_rating_studies(),
        *_selected_studies(),
    ]


def _human_studies() -> Iterator[Simulation]:
    """Yield studies of answers by people about images."""
    no_effects = (0.0, 0.0)
    both_effects = (0.4, 1.0)
    # Share of right answers.
    for people in (10, 20, 50):
        for sds in (no_effects, (0.4, 0.0), both_effects):
            study = partial(draw.human_share, people=people, images=100, sds=sds)
            name = f"share of answers, {people} people x 100 images, sd {sds[0]:g} and {sds[1]:g}"
            yield Simulation(name, study, replicates=100)
    study = partial(draw.human_share, people=20, images=200, sds=both_effects, seen=0.2)
    name = "share of answers, 20 people who see a fifth of 200 images"
    yield Simulation(name, study, replicates=100)
    # Test of guessing.
    name = "test of guessing, 20 people x 40 pairs"
    study = partial(draw.human_guessing, people=20, sds=(0.3, 1.0), mean=0.0)
    yield Simulation(f"{name}, no one can tell", study, "errs")
    study = partial(draw.human_guessing, people=20, sds=no_effects, mean=0.0)
    yield Simulation(f"{name}, pure coin tossing", study, "errs")
    study = partial(draw.human_guessing, people=20, sds=(0.3, 0.5), mean=0.43)
    yield Simulation(f"{name}, 60 % right", study, "finds")
    # Detector on the same images.
    study = partial(draw.verdicts, images=100)
    yield Simulation("detector beside people, 100 distinct images", study)


def _key_studies() -> Iterator[Simulation]:
    """Yield studies of sentinels, whose units are keys."""
    # Pairing test.
    for keys in (6, 20):
        study = partial(draw.pairing, keys=keys, shift=0.0)
        yield Simulation(f"pairing test, {keys} keys, sentinels unused", study, "errs")
    study = partial(draw.pairing, keys=20, shift=1.0)
    yield Simulation("pairing test, 20 keys, sentinels used", study, "finds")
    # AUC against a control system.
    for keys, queries in ((20, 1), (20, 10), (50, 10)):
        study = partial(draw.against_keys, keys=keys, queries=queries)
        name = f"AUC against a control, {keys} keys, {queries} queries a score"
        yield Simulation(name, study, replicates=100 if queries == 1 else 40)
    # Trigger rate.
    shapes = (
        (20, 1, 2.0, "varied"),
        (20, 4, 2.0, "varied"),
        (10, 10, 2.0, "varied"),
        (10, 10, 0.05, "all or nothing"),
        (20, 4, 1000.0, "alike"),
    )
    for keys, trials, concentration, words in shapes:
        study = partial(draw.key_shares, keys=keys, trials=trials, concentration=concentration)
        yield Simulation(f"trigger rate, {keys} keys x {trials} trials, {words}", study)
    # Mean similarity.
    for keys in (2, 3, 5, 20):
        yield Simulation(f"mean similarity, {keys} keys", partial(draw.key_means, keys=keys))


def _lost_face_studies() -> Iterator[Simulation]:
    """Yield studies of the face detection failure rate (FDFR)."""
    for truth, concentration in ((0.03, 0.5), (0.26, 2.0), (0.86, 2.0)):
        for people in (3, 6, 12):
            study = partial(
                draw.lost_faces, people=people, truth=truth, concentration=concentration
            )
            name = f"FDFR {truth:g}, {people} people x 12 images"
            is_skewed = truth == 0.86 and people > 3
            yield Simulation(name, study, limit=SKEW if is_skewed else "")


def _detector_studies() -> Iterator[Simulation]:
    """Yield studies of detectors: AUC, worst generator and calibration."""
    # AUC.
    for auc in (0.9, 0.98, 0.998):
        for count in (20, 50, 200):
            study = partial(draw_images.ranked, count=count, auc=auc)
            limit = FEW_ERRORS if (auc, count) == (0.998, 200) else ""
            yield Simulation(f"AUC {auc:g}, {count} + {count} images", study, limit=limit)
    yield Simulation("AUC of tied scores, 50 + 50 images", partial(draw_images.tied, count=50))
    study = partial(draw_images.clustered_ranking, clusters=50)
    yield Simulation("AUC, 50 photographs with 3 reconstructions each", study)
    study = partial(draw_images.edited_ranking, count=100)
    yield Simulation("change of AUC after an edit, 100 + 100 images", study)
    # Worst generator.
    for generators, images in ((5, 20), (10, 50), (29, 200)):
        for spread, words in ((0.0, "all equal"), (0.05, "spread")):
            study = partial(
                draw_images.worst_generator, generators=generators, images=images, spread=spread
            )
            name = f"worst of {generators} generators x {images} images, {words}"
            yield Simulation(name, study, replicates=100)
    # Calibration error.
    for images in (50, 600):
        for shape, words in ((1.0, "uniform"), (0.2, "sharp")):
            study = partial(draw_images.calibrated, images=images, shape=shape)
            name = f"calibration error of {images} calibrated images, {words}"
            yield Simulation(name, study, "errs")


def _recall_studies() -> Iterator[Simulation]:
    """Yield studies of recall over images, and of the bootstrap."""
    for gain in (0.005, 0.01, 0.02, 0.05):
        study = partial(draw_images.recall_gain, images=200, gain=gain)
        yield Simulation(f"gain of recall {gain:g}, 200 images", study)
    study = partial(draw_images.recall_tested, images=200, gain=0.0)
    yield Simulation("McNemar's test, 200 images, no gain", study, "errs")
    study = partial(draw_images.recall_tested, images=200, gain=0.1)
    yield Simulation("McNemar's test, 200 images, gain 0.1", study, "finds")
    study = partial(draw_images.mean_of_edits, images=200)
    yield Simulation("mean recall of 15 edits, 200 images", study)
    study = partial(draw_images.resampled_mean, units=20)
    yield Simulation("bootstrap of a skewed mean, 20 units", study, limit=SKEW)
    study = partial(draw_images.resampled_mean, units=200)
    yield Simulation("bootstrap of a skewed mean, 200 units", study)


def _few_people_studies() -> Iterator[Simulation]:
    """Yield studies of paired differences over few people."""
    for people, comparisons in ((6, 36), (12, 4)):
        study = partial(draw.many_looks, people=people, comparisons=comparisons)
        name = f"any of {comparisons} comparisons after Holm, {people} people"
        yield Simulation(name, study, "errs", replicates=50)
    for people in (3, 6, 12):
        study = partial(draw.loss_of_ism, people=people)
        yield Simulation(f"loss of ISM, {people} people", study, limit=SKEW)
    study = partial(draw.no_loss, people=6)
    yield Simulation("sign-flip test, 6 people, no loss", study, "errs")
    study = partial(draw.a_loss, people=6)
    yield Simulation("sign-flip test, 6 people, a loss", study, "finds")


def _rating_studies() -> Iterator[Simulation]:
    """Yield studies of ratings by people, and of balanced accuracy."""
    for people, items in ((10, 20), (20, 40)):
        study = partial(draw.rating_difference, people=people, items=items)
        yield Simulation(f"difference of ratings, {people} people x {items} items", study)
    name = "test of ratings, 20 people x 40 items"
    study = partial(draw.rating_tested, people=20, items=40, difference=0.0)
    yield Simulation(f"{name}, no difference", study, "errs")
    study = partial(draw.rating_tested, people=20, items=40, difference=0.5)
    yield Simulation(f"{name}, half a level", study, "finds")
    for sizes in ((20, 20), (50, 400)):
        for miss in (0.01, 0.1):
            study = partial(draw_images.balanced_accuracy, sizes=sizes, miss=miss)
            name = f"balanced accuracy {1 - 2 * miss:g}, {sizes[0]} + {sizes[1]} images"
            yield Simulation(name, study)


def _selected_studies() -> Iterator[Simulation]:
    """Yield studies of figures whose threshold or worst case is selected on the data."""
    for distance in (2.0, 4.0):
        study = partial(draw_selected.oracle_rate, count=400, distance=distance)
        rate = draw_selected.true_rate(distance, 0.01)
        name = f"oracle TPR {rate:.2f} at 1 % FPR, 400 + 400 images"
        yield Simulation(name, study, replicates=40)
    for keys in (30, 100):
        study = partial(draw_selected.rate_against_keys, keys=keys, distance=1.5)
        yield Simulation(
            f"TPR 0.59 at 10 % FPR against a control, {keys} keys", study, replicates=40
        )
    for spread, words in ((0.0, "all equal"), (0.05, "spread")):
        study = partial(draw_selected.worst_selected_again, generators=5, images=50, spread=spread)
        name = f"worst of 5 generators x 50 images, selected again, {words}"
        yield Simulation(name, study, replicates=60)

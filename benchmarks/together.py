"""The defenses on the same images, in every order: what each leaves of the others.

Run ``OMP_NUM_THREADS=1 python -m benchmarks.together [PHOTOS/ FACES/]``: 60 drawn portraits, and
as many real images, the same number from each folder.

Three steps change an image: protection, activation, and planting. ``protect`` and ``activate`` may
change a value by the budget of the generator each. Planting is the lettering of a key, as ``plant``
does without a service; one that generates a new image leaves nothing of the steps before it. A step
gets the 8-bit values of the one before it, as from a PNG. ``a + b`` is the arm ``Chain``, which
keeps the sum of both within one budget. ``scan`` changes nothing, and sees every result.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.interference import Figures, Order, print_differences, print_figures
from checkpoints.folders import ROOT
from datamodules.identities import Person
from detectors import Detector
from eval.arms import Activation, Chain, Generator
from eval.metrics.denoising import denoising_errors
from images.inputs import ImageInput, find_images
from images.io import to_rgb, to_uint8
from images.metrics import max_change_and_psnr
from images.photo import Photo
from images.transforms import PAPER, RGBImage, edit_generator
from images.transforms.geometry import cover_crop, resize
from indexing import ActivationConfig, Activator
from indexing.build import build
from indexing.empty_copy import Vectors
from models.embedder_config import COPIES, EmbedderConfig
from models.embedders import open_embedder
from models.store import VectorStore
from rid.ensemble import DiffusionEnsemble
from sentinels.keys import KeyMaker
from sentinels.plant_config import PlantConfig
from sentinels.plate import set_key
from sentinels.reader import KeyReader
from sentinels.view import retriever_view
from tiny.dataset import PortraitDataset

TINY = ROOT / "checkpoints" / "tiny"
FACTORY = "IVF64,PQ8x6"
IMAGES = 60
DISTRACTORS = 2_500
PORTRAITS = 1_000_000
OTHERS = 1_500_000
SIDE = 64
"""Side in pixels that the toy pipelines take: that of the drawn portraits."""

PHOTO_SIDE = 256
ATTEMPTS = PlantConfig().attempts
EDITS = (
    PAPER["jpeg"]["50"],
    PAPER["resize"]["0.5"],
    PAPER["center_crop"]["0.5"],
    PAPER["blur"]["11"],
    PAPER["contrast"]["0.5"],
)

STEPS = ("protect", "activate", "plant")
CHAINS: list[Order] = [
    ("protect + activate",),
    ("activate + protect",),
    ("plant", "protect + activate"),
    ("plant", "activate + protect"),
]


def orders() -> list[Order]:
    """List all orders of all sets of steps, the empty one first, and then those with a chain."""
    found: list[Order] = []
    for length in range(len(STEPS) + 1):
        found += permutations(STEPS, length)
    return found + CHAINS


@dataclass(frozen=True)
class Released:
    """Images after some steps.

    Attributes:
        images: The images.
        indexed: The images that are added to the index: the same, or those that activation was
            given if it is the last step, as ``indexing add`` does after ``activate``.
        keys: Key of each image; empty without.
    """

    images: list[RGBImage]
    indexed: list[RGBImage]
    keys: list[str] = field(default_factory=list)


class Defenses:
    """The four defenses.

    Args:
        index: Folder of an index without the images.
    """

    def __init__(self, index: Path) -> None:
        generator = Generator(str(TINY / "rid"))
        self.protector = generator.protector
        self.budget = int(generator.budget)
        activation = Activation([str(index)], self.budget)
        self.chains = {
            "protect + activate": Chain([generator, activation], self.budget),
            "activate + protect": Chain([activation, generator], self.budget),
        }
        self.activator = Activator.open(index, ActivationConfig(max_levels=self.budget))
        self.index = self.activator.indices[0]
        self.reader = KeyReader.from_pretrained(str(TINY / "embedder"))
        self.detector = Detector.from_pretrained(str(TINY / "detector"))
        self.attacked = DiffusionEnsemble([str(TINY / "sd-a1")])

    def apply(self, step: str, before: Released) -> Released:
        """Take one more step."""
        images = before.images
        if step == "protect":
            changed = [one.photo.rgb for one in self.protector.protect(images)]
            return Released(changed, changed, before.keys)
        if step == "plant":
            planted = [self.plant(number, image) for number, image in enumerate(images)]
            changed = [image for image, _ in planted]
            return Released(changed, changed, [key for _, key in planted])
        if step == "activate":
            changed = [one.photo.rgb for one in self.activator.activate_images(images)]
            return Released(changed, images, before.keys)
        tensors = torch.stack([Photo(image).tensor() for image in images])
        person = Person(name="all", train=tensors, reference=tensors)
        protected = to_uint8(self.chains[step].protect(person, 0)).permute(0, 2, 3, 1)
        changed = list(protected.contiguous().numpy())
        return Released(changed, changed, before.keys)

    def plant(self, number: int, image: RGBImage) -> tuple[RGBImage, str]:
        """Letter a key into an image; the last attempt stays, legible or not."""
        for attempt in range(ATTEMPTS):
            key = KeyMaker(seed=0).draw(f"{number}/{attempt}")
            planted = set_key(image, key, np.random.default_rng([31, number, attempt])).rgb
            if self.legible([planted], [key])[0]:
                break
        return planted, key

    def legible(self, images: list[RGBImage], keys: list[str]) -> NDArray[np.bool_]:
        """Return which keys can be read, as ``plant`` checks them."""
        readings = self.reader.read([retriever_view(Photo(image)) for image in images])
        return np.array([reading.has(key) for reading, key in zip(readings, keys, strict=True)])

    def errors(self, images: list[RGBImage]) -> NDArray[np.float64]:
        """Compute the denoising error of each image, with the same noise in every call."""
        views = torch.stack([Photo(resize(image, SIDE, SIDE)).tensor() for image in images])
        return denoising_errors(self.attacked, views).double().numpy()

    def recalls(
        self, images: list[RGBImage], entries: Sequence[Vectors]
    ) -> list[NDArray[np.float64]]:
        """Return each image's share of edited copies that the index finds first.

        Args:
            images: The images.
            entries: Descriptors of their entries, (n, D); several kinds of them.

        Returns:
            For each kind, (n,).
        """
        found = []
        for number, edit in enumerate(EDITS):
            copies = []
            for row, image in enumerate(images):
                copies.append(edit(image, edit_generator(0, str(row), number)))
            queries = self.describe(copies)
            found.append([self.index.lookup.finds(of_kind, queries) for of_kind in entries])
        return list(np.mean(found, axis=0))

    def describe(self, images: list[RGBImage]) -> Vectors:
        """Compute descriptors, (n, D)."""
        return self.index.extractor.embed_arrays(images).numpy()


def measure(defenses: Defenses, originals: list[RGBImage]) -> dict[Order, Figures]:
    """Release images in every order, and measure the results.

    Args:
        defenses: The defenses.
        originals: (H, W, 3) uint8 of one size.
    """
    released: dict[Order, Released] = {(): Released(originals, originals)}
    entries = defenses.describe(originals)
    figures: dict[Order, Figures] = {}
    for order in orders():
        if order:
            released[order] = defenses.apply(order[-1], released[order[:-1]])
        result = released[order]
        changes = []
        for before, after in zip(originals, result.images, strict=True):
            changes.append(max_change_and_psnr(before, after))
        indexed = [entries, defenses.describe(result.indexed)]
        of_originals, of_published = defenses.recalls(result.images, indexed)
        predictions = defenses.detector.predict(result.images)
        figures[order] = Figures(
            np.array([levels for levels, _ in changes]),
            np.array([np.inf if psnr is None else psnr for _, psnr in changes]),
            defenses.errors(result.images),
            of_originals,
            of_published,
            defenses.legible(result.images, result.keys) if result.keys else np.array([], bool),
            np.array([prediction.probability for prediction in predictions]),
            np.array([prediction.verdict for prediction in predictions]),
        )
    return figures


def drawn(first: int, count: int, side: int = SIDE) -> list[RGBImage]:
    """Draw portraits of different people, (side, side, 3) uint8 each."""
    items = PortraitDataset(first, count, 1, side).__getitems__(list(range(count)))
    return [to_rgb(item["image"]) for item in items]


def real(folders: list[str]) -> tuple[list[RGBImage], list[RGBImage]]:
    """Draw images and distractors from folders, center squares of :data:`PHOTO_SIDE`."""
    rng = np.random.default_rng(0)
    chosen: list[ImageInput] = []
    rest: list[ImageInput] = []
    for folder in folders:
        files = find_images([Path(folder)]).complete()
        shuffled = [files[place] for place in rng.permutation(len(files))]
        chosen += shuffled[: IMAGES // len(folders)]
        rest += shuffled[IMAGES // len(folders) :]
    distractors = [rest[place] for place in rng.permutation(len(rest))[:DISTRACTORS]]
    return [_square(file) for file in chosen], [_square(file) for file in distractors]


def _square(file: ImageInput) -> RGBImage:
    return cover_crop(file.open().rgb, PHOTO_SIDE, PHOTO_SIDE).copy()


def build_index(distractors: list[RGBImage], network: str, folder: Path, factory: str) -> Path:
    """Build an index of distractors, trained on them; return its folder."""
    embedder = open_embedder(EmbedderConfig(network))
    vectors = embedder.embed_arrays(distractors).numpy()
    names = [str(number) for number in range(len(vectors))]
    VectorStore(vectors, names, embedder.record()).write(folder / "features")
    build([folder / "features"], folder / "index", factory)
    return folder / "index"


def print_tables(
    title: str, originals: list[RGBImage], distractors: list[RGBImage], network: str
) -> None:
    """Measure images of one kind, and print both tables."""
    with tempfile.TemporaryDirectory() as name:
        index = build_index(distractors, network, Path(name), FACTORY)
        figures = measure(Defenses(index), originals)
    print(f"\n{len(originals)} {title}, {len(distractors)} distractors, {network}\n")
    print_figures(figures)
    print_differences(figures)


def main(folders: list[str]) -> None:
    """Measure drawn portraits, and real images if there are folders of them."""
    originals, distractors = drawn(PORTRAITS, IMAGES), drawn(OTHERS, DISTRACTORS)
    print_tables("drawn portraits", originals, distractors, "checkpoints/tiny/copies")
    if folders:
        print_tables("real images", *real(folders), COPIES)


if __name__ == "__main__":
    main(sys.argv[1:])

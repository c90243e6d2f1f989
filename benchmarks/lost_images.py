"""Activated images that a search no longer finds: none should be lost.

Run ``python -m benchmarks.lost_images [PHOTOS/]``.

500 images are activated with the shipped network for each index: drawn ones, and the photos of a
folder at 256 pixels if it is given. Then all originals are added, and the released images are
searched. "Unchecked" is the change as the optimizer leaves it, after rounding. A search that finds
another of the 500 instead, although it finds the image's own entry without them, is counted apart.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from torch import Tensor

from images.inputs import find_images
from images.photo import Photo
from images.transforms.geometry import resize
from indexing.activation import activate
from indexing.activation_config import ActivationConfig
from indexing.empty_copy import Vectors
from indexing.entry_lookup import EntryLookup
from indexing.faiss_files import make_index
from indexing.index import Index
from indexing.index_goals import IndexGoals, describe, results_of
from indexing.release import ActivationResult, activate_and_check
from indexing.target_indices import TargetIndex
from models.embedders import open_embedder
from models.store import VectorStore
from tiny.collages import collage

FACTORIES = ("IVF64,Flat", "IVF64,PQ8x6", "IVF256,PQ4x4", "IVF256,PQ4x4fsr")
IMAGES = 500
REFERENCES = 2_000
SIDE = 256
BATCH = 16
FIRST = 3_000_000


def main(folders: list[str]) -> None:
    """Activate for each index, and print what is lost."""
    images: list[Tensor] = []
    if folders:
        for file in find_images([Path(folder) for folder in folders]).complete()[:IMAGES]:
            images.append(Photo(resize(file.open().rgb, SIDE, SIDE)).tensor())
    photos = len(images)
    drawn = IMAGES - photos
    images += [Photo(collage(FIRST + number)).tensor() for number in range(drawn)]
    extractor = open_embedder("checkpoints/tiny/copies")
    references = extractor.embed_arrays([collage(number) for number in range(REFERENCES)]).numpy()
    print(f"{photos} photos and {drawn} drawn images, {REFERENCES} references")
    print(
        "| index | originals found | lost, unchecked | scaled down | not activated | lost "
        "| behind another of the 500 |"
    )
    print("|---|---|---|---|---|---|---|")
    for factory in FACTORIES:
        trained = make_index(factory, extractor.dimension, "l2")
        trained.train(references)
        index = Index(trained, [], {"factory": factory})
        index.add(VectorStore(references, [str(number) for number in range(REFERENCES)], {}))
        target = TargetIndex("index", Path(), trained, EntryLookup(index, trained), extractor, "")
        print(f"| {factory} | {' | '.join(map(str, measure(target, images)))} |", flush=True)


def measure(target: TargetIndex, images: list[Tensor]) -> list[int]:
    """Activate images, and count those of each column."""
    unchecked_lost = 0
    results: list[ActivationResult] = []
    features: list[Vectors] = []
    released: list[Vectors] = []
    config = ActivationConfig()
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        features.append(describe([target.extractor], batch)[0])
        goals = [IndexGoals.of(target, features[-1], "auto")]
        plain = activate(batch, [goals[0].objective()], config).images_u8
        for (result,) in results_of(goals, [image.float() / 255 for image in plain]):
            unchecked_lost += result.original_found and not result.found
        results += activate_and_check(batch, goals, config)
    for result in results:
        pixels = result.image_u8.float() / 255
        released.append(describe([target.extractor], [pixels])[0])
    # a search of the released images among the references and all originals
    of_index = [result.indices["index"] for result in results]
    index = target.lookup.filled
    names = [f"original {number}" for number in range(len(images))]
    index.add(VectorStore(np.concatenate(features), names, {}))
    distances, ids = index.search(np.concatenate(released), 10)
    first = ids[:, 0]
    own = np.arange(len(images)) + REFERENCES
    level = np.where(ids == own[:, None], distances, np.inf).min(axis=1) <= distances[:, 0] + 1e-4
    is_lost = (first != own) & ~level
    activated = np.array([result.activated for result in results])
    behind = is_lost & activated & (first >= REFERENCES)
    return [
        sum(result.original_found for result in of_index),
        unchecked_lost,
        sum(0 < result.share < 1 for result in results),
        int((~activated).sum()),
        int((is_lost & activated & ~behind).sum()),
        int(behind.sum()),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])

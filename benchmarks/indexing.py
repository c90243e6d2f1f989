"""Activating pictures: the published loop against ours.  ``python -m benchmarks.indexing``.

All rows take the same ten Adam steps towards the same targets with the shipped small network, on pictures of 256 pixels; time is
processor time of one thread, so that other jobs on the machine count less. PSNR and the mean cosine to the targets are of the released
8-bit pictures.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.rows import peak_megabytes, run_row
from images.io import to_uint8
from indexing.activation import DescriptorObjective, activate
from indexing.activation_config import ActivationConfig
from indexing.activator import descriptors
from indexing.jnd import just_noticeable_difference
from indexing.perturbation import CHANNELS
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.preprocessing import denormalize, normalize
from tiny.collages import collage

PICTURES, SIDE, STEPS = 32, 256, 10


def published(images: Sequence[Tensor], targets: Tensor, extractor: Embedder) -> list[Tensor]:
    """The published algorithm, as it is described: every picture's map, change and resizing on its own, the network on all of them."""
    weights = torch.tensor(CHANNELS).view(3, 1, 1)
    originals = [normalize(image) for image in images]
    heats = [just_noticeable_difference(image) for image in images]
    free = [1e-6 * torch.randn_like(image) for image in images]
    for part in free:
        part.requires_grad_(True)
    optimizer = torch.optim.Adam(free, lr=1.0)
    for _ in range(STEPS):
        changed = [
            x + 3 * heat * weights * torch.tanh(d)
            for x, heat, d in zip(originals, heats, free, strict=True)
        ]
        side = (extractor.preprocess.side, extractor.preprocess.side)
        small = [
            F.interpolate(
                picture[None], side, mode="bilinear", antialias=extractor.preprocess.antialias
            )
            for picture in changed
        ]
        near = -F.cosine_similarity(extractor.network(torch.cat(small)), targets).mean()
        size = torch.stack(
            [(picture - x).square().mean() for picture, x in zip(changed, originals, strict=True)]
        ).mean()
        optimizer.zero_grad()
        (near + 0.01 * size).backward()
        optimizer.step()
    with torch.no_grad():
        changed = [
            x + 3 * heat * weights * torch.tanh(d)
            for x, heat, d in zip(originals, heats, free, strict=True)
        ]
        return [to_uint8(denormalize(picture)) for picture in changed]


def ours(images: Sequence[Tensor], targets: Tensor, extractor: Embedder) -> list[Tensor]:
    """The same pictures together."""
    objective = DescriptorObjective(
        extractor.embed_images, extractor.preprocess.side, extractor.preprocess.antialias, targets
    )
    return activate(images, [objective], ActivationConfig(iterations=STEPS)).images_u8


ROWS: dict[str, tuple[Callable[[Sequence[Tensor], Tensor, Embedder], list[Tensor]], int]] = {
    "published, one picture at a time": (published, 1),
    "published, 16 at a time": (published, 16),
    "ours, 16 at a time": (ours, 16),
}


def measure(name: str) -> dict[str, float]:
    """Pictures a second, and what came of them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    way, batch = ROWS[name]
    extractor = open_embedder(EmbedderConfig())
    images = [
        torch.from_numpy(collage(1_000_000 + number, SIDE)).permute(2, 0, 1).float() / 255
        for number in range(PICTURES)
    ]
    targets = F.normalize(
        torch.randn(PICTURES, extractor.dimension, generator=torch.Generator().manual_seed(0)),
        dim=1,
    )
    targets = F.normalize(torch.from_numpy(descriptors(extractor, images)) + 0.5 * targets, dim=1)
    way(images[:batch], targets[:batch], extractor)
    start, released = time.process_time(), []
    for first in range(0, PICTURES, batch):
        released += way(images[first : first + batch], targets[first : first + batch], extractor)
    seconds = time.process_time() - start
    cosine = F.cosine_similarity(
        torch.from_numpy(descriptors(extractor, [levels.float() / 255 for levels in released])),
        targets,
    )
    errors = torch.stack(
        [
            (levels.float() - 255 * image).square().mean()
            for levels, image in zip(released, images, strict=True)
        ]
    )
    psnr = (10 * (255**2 / errors).log10()).mean()
    return {
        "speed": PICTURES / seconds,
        "psnr": float(psnr),
        "cosine": float(cosine.mean()),
        "megabytes": peak_megabytes(),
    }


def main(arguments: list[str]) -> None:
    """Print the table, or one row's figures as JSON."""
    if arguments:
        print(json.dumps(measure(arguments[0])))
        return
    first: dict[str, float] = {}
    print(
        "| | pictures/s | ratio | PSNR dB | cosine to the target | peak MB |\n|---|---|---|---|---|---|"
    )
    for name in ROWS:
        row = run_row("indexing", name)
        first = first or row
        ratio = row["speed"] / first["speed"]
        print(
            f"| {name} | {row['speed']:.1f} | {ratio:.2f} | {row['psnr']:.2f} | {row['cosine']:.4f} | {row['megabytes']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])

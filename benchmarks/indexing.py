"""Speed and quality of image activation, published loop and ours.

Run ``python -m benchmarks.indexing``.

All rows take the same ten Adam steps towards the same targets with the shipped small network, on
images of 256 pixels. Time is processor time of one thread, so that other jobs on the machine count
less. PSNR and the mean cosine to the targets are those of the released 8-bit images.
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
from indexing.index_goals import descriptors
from indexing.jnd import just_noticeable_difference
from indexing.perturbation import CHANNELS
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.preprocessing import denormalize, normalize
from tiny.collages import collage

IMAGES = 32
SIDE = 256
STEPS = 10


def published(images: Sequence[Tensor], targets: Tensor, extractor: Embedder) -> list[Tensor]:
    """Activate images with the published loop (arXiv 2210.10620).

    Each image has a map, a change and a resizing of its own; the network takes all of them.

    Args:
        images: (3, H, W) each, in [0, 1].
        targets: (B, D) target descriptors.
        extractor: Embedder.

    Returns:
        The activated images, (3, H, W) uint8.
    """
    weights = torch.tensor(CHANNELS).view(3, 1, 1)
    originals = [normalize(image) for image in images]
    masks = [just_noticeable_difference(image) for image in images]
    parameters = [1e-6 * torch.randn_like(image) for image in images]
    for parameter in parameters:
        parameter.requires_grad_(True)

    def perturbed() -> list[Tensor]:
        changed = []
        for original, mask, parameter in zip(originals, masks, parameters, strict=True):
            changed.append(original + 3 * mask * weights * torch.tanh(parameter))
        return changed

    preprocess = extractor.preprocess
    side = (preprocess.side, preprocess.side)
    optimizer = torch.optim.Adam(parameters, lr=1.0)
    for _ in range(STEPS):
        changed = perturbed()
        resized = []
        sizes = []
        for image, original in zip(changed, originals, strict=True):
            resized.append(
                F.interpolate(image[None], side, mode="bilinear", antialias=preprocess.antialias)
            )
            sizes.append((image - original).square().mean())
        similarity = F.cosine_similarity(extractor.network(torch.cat(resized)), targets).mean()
        loss = -similarity + 0.01 * torch.stack(sizes).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return [to_uint8(denormalize(image)) for image in perturbed()]


def ours(images: Sequence[Tensor], targets: Tensor, extractor: Embedder) -> list[Tensor]:
    """Activate images in one batch with this project's code.

    Args:
        images: (3, H, W) each, in [0, 1].
        targets: (B, D) target descriptors.
        extractor: Embedder.

    Returns:
        The activated images, (3, H, W) uint8.
    """
    objective = DescriptorObjective(extractor.embed_images, extractor.preprocess, targets)
    return activate(images, [objective], ActivationConfig(iterations=STEPS)).images_u8


ROWS: dict[str, tuple[Callable[[Sequence[Tensor], Tensor, Embedder], list[Tensor]], int]] = {
    "published, one image at a time": (published, 1),
    "published, 16 at a time": (published, 16),
    "ours, 16 at a time": (ours, 16),
}
"""Functions and batch sizes by row."""


def measure(name: str) -> dict[str, float]:
    """Measure a row: speed, PSNR, cosine to the target, and memory."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    way, batch = ROWS[name]
    extractor = open_embedder(EmbedderConfig("checkpoints/tiny/copies"))
    images = []
    for number in range(IMAGES):
        image_u8 = torch.from_numpy(collage(1_000_000 + number, SIDE))
        images.append(image_u8.permute(2, 0, 1).float() / 255)
    # targets near the images' descriptors
    generator = torch.Generator().manual_seed(0)
    noise = F.normalize(torch.randn(IMAGES, extractor.dimension, generator=generator), dim=1)
    targets = F.normalize(torch.from_numpy(descriptors(extractor, images)) + 0.5 * noise, dim=1)
    # time, after one warm-up
    way(images[:batch], targets[:batch], extractor)
    start = time.process_time()
    released = []
    for first in range(0, IMAGES, batch):
        released += way(images[first : first + batch], targets[first : first + batch], extractor)
    seconds = time.process_time() - start
    # quality of the released images
    decoded = [image_u8.float() / 255 for image_u8 in released]
    cosine = F.cosine_similarity(torch.from_numpy(descriptors(extractor, decoded)), targets)
    errors = []
    for image_u8, image in zip(released, images, strict=True):
        errors.append((image_u8.float() - 255 * image).square().mean())
    psnr = (10 * (255**2 / torch.stack(errors)).log10()).mean()
    return {
        "speed": IMAGES / seconds,
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
    print("| | images/s | ratio | PSNR dB | cosine to the target | peak MB |")
    print("|---|---|---|---|---|---|")
    for name in ROWS:
        row = run_row("indexing", name)
        first = first or row
        cells = [
            name,
            f"{row['speed']:.1f}",
            f"{row['speed'] / first['speed']:.2f}",
            f"{row['psnr']:.2f}",
            f"{row['cosine']:.4f}",
            f"{row['megabytes']:.0f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

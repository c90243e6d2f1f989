"""Protection of faces in photos larger than the generator's input.

Run ``python -m benchmarks.large_photos``.

Each portrait stands in a photo of twice its side. The attacker crops to the portrait, a few pixels
off, and scales it down to the model's 64 pixels with Lanczos. The table shows the identity score
(ISM, images without a face count as 0) of the attacker's generated images, by the way in which the
photo was protected, and its paired difference to clean photos over people.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from checkpoints.folders import ROOT
from engine.statistics import paired_difference
from eval.attacks.personalization import LoraTextualInversion
from eval.attacks.personalization.methods import LoraTextualInversionConfig
from eval.attacks.purification import Jpeg
from eval.metrics.identity import IdentityPreservation
from eval.metrics.quality import quantize
from images.io import clamp_to_budget, to_uint8
from images.transforms.differentiable import gaussian_blur
from images.transforms.geometry import resize
from models.faces.backends import load_faces
from rid.protect.layout import Box
from rid.protect.protector import Protector
from rid.weights import load_generator
from tiny.dataset import PortraitPeople

SIDE = 64
SHIFT = 3
"""Offset of the attacker's crop, in pixels of the photo at 128-pixel portraits."""

MODES = ("clean", "resize", "tile", "faces")
WEIGHTS = ROOT / "checkpoints" / "tiny"


def place(portraits: Tensor) -> tuple[Tensor, int, int]:
    """Put portraits, (B, 3, S, S), into photos of twice their side.

    Returns:
        The photos, (B, 3, 2S, 2S), and top and left of the portraits.
    """
    side = portraits.shape[-1]
    photos = F.interpolate(portraits, scale_factor=2, mode="bilinear").clamp(0, 1)
    photos = gaussian_blur(photos, side / 10).clamp(0, 1)
    top, left = side // 2 + 1, side // 3
    photos[..., top : top + side, left : left + side] = portraits
    return quantize(photos), top, left


def crop(photos: Tensor, top: int, left: int, side: int) -> Tensor:
    """Crop portraits from photos, and scale them to 64 pixels with Lanczos."""
    shift = SHIFT * side // 128
    cropped = photos[..., top + shift : top + shift + side, left - shift : left - shift + side]
    rows = []
    for image in to_uint8(cropped).permute(0, 2, 3, 1).numpy():
        scaled = resize(image, SIDE, SIDE, "lanczos")
        rows.append(torch.from_numpy(scaled.copy()).permute(2, 0, 1))
    return torch.stack(rows).float() / 255


def boxes(portraits: Tensor, top: int, left: int) -> list[list[Box]]:
    """Find each portrait's face, in pixels of its photo."""
    side = portraits.shape[-1]
    small = F.interpolate(portraits, (SIDE, SIDE), mode="bilinear", antialias=True)
    found = load_faces(str(WEIGHTS / "faces"))(small.clamp(0, 1))
    faces: list[list[Box]] = []
    for detected, box in zip(found.detected, found.boxes, strict=True):
        x, y, width, height = (box * side).tolist()
        x, y = x + left, y + top
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        faces.append([box] if detected else [])
    return faces


def protect(weights: str, mode: Any, photos: Tensor, faces: list[list[Box]]) -> Tensor:
    """Protect photos one by one, with 8-bit values within the budget."""
    if mode == "clean":
        return photos
    waiting = iter(faces)
    protector = Protector(load_generator(weights), mode, faces=lambda _: next(waiting))
    rows = [protector(photo.unsqueeze(0)) for photo in photos]
    return clamp_to_budget(torch.cat(rows), photos, protector.budget).float() / 255


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default=str(WEIGHTS / "rid"))
    parser.add_argument("--first", type=int, default=900_210, help="first person")
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--modes", nargs="+", default=list(MODES[1:]), choices=MODES[1:])
    parser.add_argument("--jpeg", type=int, help="quality at which the photos are saved")
    settings = parser.parse_args()
    attack = LoraTextualInversion(
        LoraTextualInversionConfig(
            model=str(WEIGHTS / "sd-a1"),
            initializer="person",
            rank=32,
            lr=3e-3,
            steps=200,
            batch_size=8,
            class_images=64,
            class_steps=25,
            sample_steps=25,
            guidance=3.0,
            samples=12,
        )
    )
    network = load_faces(str(WEIGHTS / "faces"))
    modes = ("clean", *settings.modes)
    print("| portraits of | photos | ISM | - clean, 95 % interval | p |")
    print("|---" * 5 + "|")
    for side in settings.sides:
        scores: dict[str, list[float]] = {mode: [] for mode in modes}
        for person in PortraitPeople(settings.first, settings.people, size=side):
            photos, top, left = place(person["train"])
            faces = boxes(person["train"], top, left)
            reference = F.interpolate(person["reference"], (SIDE, SIDE), mode="area")
            for mode in modes:
                protected = protect(settings.weights, mode, photos, faces)
                if settings.jpeg:
                    protected = Jpeg(settings.jpeg)(protected, torch.Generator())
                generated = attack(crop(protected, top, left, side))
                metric = IdentityPreservation(network, sync_on_compute=False)
                metric.update(generated, reference)
                scores[mode].append(float(metric.compute()["ism_all"]))
        for mode, values in scores.items():
            compared = " | " if mode == "clean" else _difference(values, scores["clean"])
            print(f"| {side} pixels | {mode} | {np.mean(values):.3f} | {compared} |", flush=True)


def _difference(protected: list[float], clean: list[float]) -> str:
    """Write a paired difference with its interval, and the p-value as a column of its own."""
    paired = paired_difference(np.array(protected), np.array(clean))
    spread = ""
    if paired.interval is not None:
        spread = f" ({paired.interval.low:+.3f} to {paired.interval.high:+.3f})"
    return f"{paired.mean:+.3f}{spread} | {paired.p:.4f}"


if __name__ == "__main__":
    main()

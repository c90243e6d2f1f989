"""Recipes of the weights in ``checkpoints/tiny``, each with a seed."""

from __future__ import annotations

from collections.abc import Callable

from tiny.photo_copies import train_photo_copies
from tiny.train_adapter import train_adapter
from tiny.train_detectors import train_detector, train_photo_detector
from tiny.train_diffusion import (
    AutoencoderRecipe,
    DiffusionRecipe,
    train_unconditional,
    train_upscaler,
)
from tiny.train_flow import FlowRecipe
from tiny.train_recognition import (
    train_copies,
    train_embedder,
    train_faces,
    train_index,
    train_probe,
)
from tiny.train_restorer import train_restorer
from tiny.train_rid import train_rid, train_robust_rid

RECIPES: dict[str, Callable[..., None]] = {
    "faces": train_faces,
    "probe": train_probe,
    "vae-a": AutoencoderRecipe((24, 48, 80, 96), 16, 4000, seed=1),
    "vae-b": AutoencoderRecipe((16, 48, 64, 96), 16, 4500, seed=2),
    "sd-a1": DiffusionRecipe("vae-a", 9_000, seed=5),
    "sd-a2": DiffusionRecipe("vae-a", 1_500, seed=7, origin="sd-a1", pictures=12_000),
    "sd-b": DiffusionRecipe("vae-b", 9_000, seed=8),
    "sd-c": FlowRecipe("vae-b", 8_000, seed=13),
    "ddpm": train_unconditional,
    "vae-up": AutoencoderRecipe((16, 32, 48), 4, 3000, seed=10),
    "upscaler": train_upscaler,
    "ip-adapter": train_adapter,
    "restorer": train_restorer,
    "rid": train_rid,
    "rid-robust": train_robust_rid,
    "detector": train_detector,
    "copies": train_copies,
    "index": train_index,
    "embedder": train_embedder,
}
"""Recipes of the toy models and their intermediate results, in the order of dependence."""

FROM_PHOTOS: dict[str, Callable[..., None]] = {
    "photo-copies": train_photo_copies,
    "photo-detector": train_photo_detector,
}
"""Recipes that need photos; ``all`` leaves them out."""

FROM_FOLDERS = ("vae-a", "vae-b", "sd-a1", "sd-a2", "sd-b", "sd-c", "ddpm")
"""Models that can be trained on any images; the others need the portraits' identities."""

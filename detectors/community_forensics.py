"""Community-Forensics' detectors (arXiv 2411.04125), opened from their Hub folders.

A folder has the constructor's arguments as ``config.json``, and the weights of a ViT of timm under
``vit``, with one logit that is above 0 for generated. Preprocessing is that of the repository's
test transform, but for a crop in the middle between two pixels, which may be one pixel off.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from images.transforms.views import View

KEYS = {"model_size", "input_size", "patch_size"}
"""Settings by which a folder is recognized."""

SIZES = {224: 256, 384: 440}
"""Shorter side before the center crop, by side of the crop, in pixels."""

NETWORKS = {
    "small": "vit_small_patch{patch}_{side}.augreg_in21k_ft_in1k",
    "tiny": "vit_tiny_patch{patch}_{side}.augreg_in21k_ft_in1k",
}
"""timm's names by ``model_size``."""


def read_community_forensics(
    config: dict[str, Any], weights: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate a Community-Forensics folder to settings and weights of a detector.

    Args:
        config: Content of ``config.json``; that of another model is returned as it is.
        weights: Content of ``model.safetensors``.

    Raises:
        ValueError: If the folder is one of Community-Forensics, of a variant that was not released.
    """
    if not set(config) >= KEYS:
        return config, weights
    kind, side, patch = config["model_size"], config["input_size"], config["patch_size"]
    if kind not in NETWORKS or side not in SIZES or patch not in (16, 32):
        msg = (
            f"no released Community-Forensics network: model_size {kind}, input_size {side}, "
            f"patch_size {patch}"
        )
        raise ValueError(msg)
    view = View(size=side, resize=SIZES[side], interpolation="bilinear")
    translated = {
        "network": "timm",
        "options": {"name": NETWORKS[kind].format(patch=patch, side=side)},
        "view": asdict(view),
        "train_view": asdict(replace(view, random=True, blur=0.5, jpeg=0.5)),
    }
    renamed = {}
    for key, value in weights.items():
        renamed[f"network.network.{key.removeprefix('vit.')}"] = value
    return translated, renamed

"""Import of released ViT detectors: DDA, RINE and B-Free, as their repositories saved them.

All have one logit that is above 0 for generated. DDA's and RINE's code pads images that are smaller
than the crop with black, and B-Free's averages five crops that lie on a grid of patches; here small
images are enlarged or repeated, and B-Free's crops are those of ``--crops five``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.released_names import Weights, detector_config, rename
from images.transforms.views import View

DINOV2 = {
    384: "vit_small_patch14_dinov2",
    768: "vit_base_patch14_dinov2",
    1024: "vit_large_patch14_dinov2",
}
"""timm's names of DINOv2 by width; DDA released the last."""

DDA_SIDE = 336
"""Side of DDA's crop, in pixels, in its training and in the newer of its two inference scripts."""

RINE_CLIP = "vit_large_patch14_clip_quickgelu_224.openai"

BFREE = "vit_base_patch14_reg4_dinov2"
BFREE_SIDE = 504

PATCH = 14
"""Side of DINOv2's patches, in pixels."""

POSITION_OFFSET = 0.1
"""Offset that DINOv2's code adds to the grid's size before it scales position embeddings."""

LINEAR = r"(blocks\.\d+\.(?:attn\.(?:qkv|proj)|mlp\.fc[12]))"

DDA_KEYS = {
    rf"base_model\.model\.{LINEAR}\.original_layer\.(weight|bias)": r"backbone.\1.base_layer.\2",
    rf"base_model\.model\.{LINEAR}\.lora\.lora_([AB])": r"backbone.\1.lora_\2.default.weight",
    r"base_model\.model\.(blocks\.\d+\.(?:norm[12]|ls[12])\.(?:weight|bias|gamma))": r"backbone.\1",
    r"base_model\.model\.(cls_token|pos_embed|patch_embed\.proj\.(?:weight|bias))": r"backbone.\1",
    r"base_model\.model\.(norm\.(?:weight|bias))": r"backbone.\1",
    r"base_model\.fc\.(weight|bias)": r"linear.\1",
}
"""Patterns of DDA's parameter names, and those of this project's network."""


def from_dda(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], Weights]:
    """Convert the state dict of DDA's DINOv2 with adapters (arXiv 2505.14359).

    Its position embeddings are scaled to the crop as DINOv2's code does in every forward pass.

    Returns:
        Config and weights of a detector.

    Raises:
        ValueError: If it is no such state dict.
    """
    known = {key: value for key, value in state.items() if not key.endswith("model.mask_token")}
    weights = rename(known, DDA_KEYS, "DDA")
    positions = weights.get("backbone.pos_embed")
    ranks = {len(value) for key, value in weights.items() if ".lora_A." in key}
    if positions is None or positions.shape[-1] not in DINOV2 or len(ranks) != 1:
        widths = ", ".join(map(str, DINOV2))
        msg = f"not DDA's network, a DINOv2 of width {widths} with adapters of one rank"
        raise ValueError(msg)
    weights["backbone.pos_embed"] = scaled_positions(positions, DDA_SIDE // PATCH)
    options = {
        "name": DINOV2[positions.shape[-1]],
        "size": DDA_SIDE,
        "rank": ranks.pop(),
        "alpha": 1.0,
        "mean_std": "clip",
    }
    view = View(policy="crop", size=DDA_SIDE, resize=DDA_SIDE)
    train_view = replace(view, random=True, jpeg=0.15, jpeg_quality=(55, 100))
    config = detector_config("lora", options, view, train_view)
    return config, {f"network.{key}": value for key, value in weights.items()}


def scaled_positions(embeddings: Tensor, side: int) -> Tensor:
    """Scale DINOv2's position embeddings, (1, 1 + N, D), to a grid of side x side patches.

    Raises:
        ValueError: If N is not a square.
    """
    grid = round((embeddings.shape[1] - 1) ** 0.5)
    if embeddings.ndim != 3 or grid * grid != embeddings.shape[1] - 1:
        msg = f"position embeddings of shape {tuple(embeddings.shape)} are not of a square grid"
        raise ValueError(msg)
    if grid == side:
        return embeddings
    patches = embeddings[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
    factor = (side + POSITION_OFFSET) / grid
    scaled = F.interpolate(patches, scale_factor=(factor, factor), mode="bicubic")
    return torch.cat([embeddings[:, :1], scaled.flatten(2).transpose(1, 2)], dim=1)


def from_rine(
    state: Mapping[str, Tensor], backbone: Mapping[str, Tensor], network: str = RINE_CLIP
) -> tuple[dict[str, Any], Weights]:
    """Convert RINE's trained part (arXiv 2402.19091), and join it with CLIP's weights.

    Args:
        state: State dict without CLIP: ``alpha``, ``proj1``, ``proj2`` and ``head``.
        backbone: Weights of CLIP in timm's format.
        network: timm's name of the backbone.

    Returns:
        Config and weights of a detector.

    Raises:
        ValueError: If it is no such state dict.
    """
    names = r"alpha|(proj1|proj2)\.\d+\.(weight|bias)|head\.[036]\.(weight|bias)"
    alpha = state.get("alpha")
    strange = next((key for key in state if not re.fullmatch(names, key)), None)
    if strange is not None or alpha is None or alpha.ndim != 3:
        said = f"it has '{strange}'" if strange else "it has no alpha, (1, blocks, width)"
        msg = f"not RINE's trained part, which is alpha, proj1, proj2 and head: {said}"
        raise ValueError(msg)
    layers = sum(re.fullmatch(r"proj1\.\d+\.weight", key) is not None for key in state)
    weights = {f"network.{key}": value for key, value in state.items()}
    for key, value in backbone.items():
        if not key.startswith("head."):
            weights[f"network.backbone.{key}"] = value
    options = {"name": network, "width": alpha.shape[2], "layers": layers}
    view = View(policy="crop", size=224)
    train_view = replace(view, random=True, blur=0.5, jpeg=0.5)
    return detector_config("intermediate", options, view, train_view), weights


def from_bfree(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], Weights]:
    """Convert the state dict of B-Free's DINOv2 with registers (arXiv 2412.17671).

    Returns:
        Config and weights of a detector.

    Raises:
        ValueError: If it is no such state dict.
    """
    registers = state.get("reg_token")
    if registers is None or tuple(registers.shape) != (1, 4, 768) or "head.weight" not in state:
        shown = ", ".join(list(state)[:3])
        msg = f"not B-Free's ViT-B/14 with four registers and one logit: it has {shown}"
        raise ValueError(msg)
    weights = {f"network.network.{key}": value for key, value in state.items()}
    options = {"name": BFREE, "size": BFREE_SIDE}
    view = View(policy="tile_crop", size=BFREE_SIDE, resize=BFREE_SIDE)
    train_view = replace(view, random=True, blur=0.5, jpeg=0.5)
    return detector_config("timm", options, view, train_view), weights

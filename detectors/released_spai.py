"""Import of SPAI's released detector (Karageorgiou et al., CVPR 2025, arXiv 2411.19417).

Its one checkpoint has 324 tensors with 139,945,243 numbers. The ViT is that of masked frequency
modeling (arXiv 2206.07706), with further parts that SPAI does not use and that are left out here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from detectors.released_names import Weights, detector_config, rename
from images.transforms.views import View

CONFIG_CLASSES = ("yacs.config.CfgNode",)
"""Pickled classes of the trainer's settings in the file; replaced, never run."""

VITS = {192: "vit_tiny_patch16_224", 384: "vit_small_patch16_224", 768: "vit_base_patch16_224"}
"""timm's names of ViTs by width; SPAI released the last."""

UNUSED = (
    r"mfvit\.vit\.(fc_norm|head|cls_pos_embed|actual_cls_token|cls_blocks|intermediate_fc_norm)\b.*"
)
"""Parts of the ViT that no forward pass uses."""

BIASES = re.compile(r"(mfvit\.vit\.blocks\.\d+\.attn)\.([qv])_bias")

WHOLE = r"(weight|bias)"

FEATURES = r"mfvit\.features_processor\."

PROJECTOR = FEATURES + r"patch_projector\.projectors\.(\d+)\."

KEYS = {
    r"mfvit\.vit\.((?:cls_token|pos_embed|patch_embed|blocks)\b.*)": r"backbone.\1",
    r"mfvit\.frequencies_mask": "low_pass",
    PROJECTOR + rf"norm1\.{WHOLE}": r"projectors.\1.0.\2",
    PROJECTOR + rf"projector\.1\.{WHOLE}": r"projectors.\1.2.\2",
    PROJECTOR + rf"projector\.4\.{WHOLE}": r"projectors.\1.5.\2",
    PROJECTOR + rf"norm2\.{WHOLE}": r"projectors.\1.8.\2",
    FEATURES + r"original_features_processor\.alpha": "alpha",
    FEATURES + rf"original_features_processor\.(proj[12])\.projector\.([14])\.{WHOLE}": r"\1.\2.\3",
    FEATURES + rf"original_features_processor\.(proj[12])\.norm2\.{WHOLE}": r"\1.7.\2",
    r"patch_aggregator": "query",
    r"to_kv\.weight": "to_kv.weight",
    r"to_out\.0\.weight": "to_out.weight",
    rf"norm\.{WHOLE}": r"norm.\1",
    rf"cls_head\.head\.([036])\.{WHOLE}": r"head.\1.\2",
}
"""Patterns of SPAI's parameter names, and those of this project's network."""


def from_spai(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], Weights]:
    """Convert the state dict of SPAI's detector.

    Returns:
        Config and weights of a detector.

    Raises:
        ValueError: If it is no such state dict.
    """
    kept = {key: value for key, value in state.items() if not re.fullmatch(UNUSED, key)}
    weights = rename(with_biases(kept), KEYS, "SPAI")
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    try:
        heads, _, width = shapes["query"]
        side, _ = shapes["low_pass"]
        hidden, inputs = shapes["head.0.weight"]
        options = {
            "name": VITS[shapes["backbone.pos_embed"][2]],
            "size": side,
            "width": shapes["alpha"][2],
            "attention": heads * width,
            "heads": heads,
            "hidden": hidden // inputs,
        }
    except (KeyError, ValueError, IndexError) as error:
        shown = ", ".join(f"{key} {shape}" for key, shape in list(shapes.items())[:3])
        msg = f"not SPAI's detector on a ViT of width {', '.join(map(str, VITS))}: it has {shown}"
        raise ValueError(msg) from error
    weights["low_pass"] = weights["low_pass"].float()
    view = View(policy="whole", size=side, resize=side)
    train_view = View(
        *("random_resized_crop", side, side),
        least_area=0.2,
        random=True,
        blur=0.5,
        blur_sigma=0.5,
        jpeg=0.5,
        jpeg_quality=(50, 100),
    )
    config = detector_config("spectral", options, view, train_view)
    return config, {f"network.{key}": value for key, value in weights.items()}


def with_biases(state: Mapping[str, Tensor]) -> Weights:
    """Join the biases of queries and values to those of a ViT of timm; keys have none."""
    joined = {key: value for key, value in state.items() if not BIASES.fullmatch(key)}
    for key, queries in state.items():
        place = BIASES.fullmatch(key)
        if place is None or place[2] != "q":
            continue
        values = state.get(f"{place[1]}.v_bias")
        if values is None:
            msg = f"{place[1]} has a bias of its queries, and none of its values"
            raise ValueError(msg)
        joined[f"{place[1]}.qkv.bias"] = torch.cat([queries, torch.zeros_like(queries), values])
    return joined

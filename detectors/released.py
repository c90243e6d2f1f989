"""Import of released detectors: Sentry's ConvNeXt and CLIP checkpoints, UnivFD's head, and ViTs.

Sentry's files are mmpretrain checkpoints with two logits: generated, then real. Under a softmax
their difference is this project's single logit, 1 being generated. UnivFD has that one logit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from checkpoints.safe import read_state_dict
from checkpoints.tensors import in_float32, read_tensors
from detectors.detector import Detector
from detectors.networks.backbone import check_name
from detectors.released_names import detector_config, rename
from detectors.released_spai import CONFIG_CLASSES, from_spai
from detectors.released_vits import RINE_CLIP, from_bfree, from_dda, from_rine
from engine.files import file_digest
from engine.manifest import write_manifest
from images.transforms.views import View

Weights = dict[str, Tensor]

TRAINER_LOG_CLASSES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "builtins.getattr",
)
"""Pickled classes of the trainer's log in Sentry's files; replaced, never run."""

CONVNEXTS: dict[tuple[tuple[int, ...], int], str] = {
    ((3, 3, 9, 3), 96): "convnext_tiny",
    ((3, 3, 27, 3), 96): "convnext_small",
    ((3, 3, 27, 3), 128): "convnext_base",
}
"""timm's name by number of blocks per stage and width of the first stage."""

BLOCK = r"backbone\.stages\.(\d+)\.(\d+)"

CONVNEXT_KEYS = {
    r"backbone\.downsample_layers\.0\.([01])\.(weight|bias)": r"stem.\1.\2",
    r"backbone\.downsample_layers\.([123])\.([01])\.(weight|bias)": r"stages.\1.downsample.\2.\3",
    rf"{BLOCK}\.depthwise_conv\.(weight|bias)": r"stages.\1.blocks.\2.conv_dw.\3",
    rf"{BLOCK}\.norm\.(weight|bias)": r"stages.\1.blocks.\2.norm.\3",
    rf"{BLOCK}\.pointwise_conv([12])\.(weight|bias)": r"stages.\1.blocks.\2.mlp.fc\3.\4",
    rf"{BLOCK}\.gamma": r"stages.\1.blocks.\2.gamma",
    r"backbone\.norm3\.(weight|bias)": r"head.norm.\1",
    r"head\.fc\.(weight|bias)": r"head.fc.\1",
}
"""Patterns of mmpretrain's parameter names, and timm's names."""

CLIP_KEYS = {
    r"backbone\.(cls_token|pos_embed)": r"backbone.\1",
    r"backbone\.patch_embed\.projection\.weight": r"backbone.patch_embed.proj.weight",
    r"backbone\.pre_norm\.(weight|bias)": r"backbone.norm_pre.\1",
    r"backbone\.layers\.(\d+)\.ln([12])\.(weight|bias)": r"backbone.blocks.\1.norm\2.\3",
    r"backbone\.layers\.(\d+)\.attn\.(qkv|proj)\.(weight|bias)": r"backbone.blocks.\1.attn.\2.\3",
    r"backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.(weight|bias)": r"backbone.blocks.\1.mlp.fc1.\2",
    r"backbone\.layers\.(\d+)\.ffn\.layers\.1\.(weight|bias)": r"backbone.blocks.\1.mlp.fc2.\2",
    r"backbone\.ln1\.(weight|bias)": r"backbone.norm.\1",
    r"head\.fc\.(weight|bias)": r"linear.\1",
}

SENTRY_VIEW = View(policy="resize_crop", size=224, resize=256)
SENTRY_TRAIN_VIEW = View(policy="random_resized_crop", size=224, random=True, blur=0.5, jpeg=0.5)
UNIVFD_VIEW = View(policy="crop", size=224)
UNIVFD_TRAIN_VIEW = View(policy="crop", size=224, random=True, blur=0.5, jpeg=0.5)

SENTRY_CLIP = "vit_large_patch14_clip_224"
UNIVFD_CLIP = "vit_large_patch14_clip_quickgelu_224.openai"
"""Variant with OpenAI's activation, which UnivFD's features need."""


def import_released(
    source: Path, target: Path, kind: str, network: str | None = None, backbone: Path | None = None
) -> Detector:
    """Convert a released file to a model folder, atomically.

    Args:
        source: The file; no code in it is run.
        target: Folder to write.
        kind: ``sentry_convnext``, ``sentry_clip``, ``univfd``, ``dda``, ``rine``, ``bfree`` or
            ``spai``.
        network: timm's name of the frozen backbone, if it differs from the release's; for
            ``sentry_clip``, ``univfd`` and ``rine``.
        backbone: Weight file of the backbone in timm's format, for ``univfd`` and ``rine``, whose
            files are without it; fetched by timm if None.

    Returns:
        The detector, as :meth:`Detector.from_pretrained` opens the folder.

    Raises:
        FileNotFoundError: If the file or the backbone's weights are missing.
        ValueError: If the file is damaged or no such release.
    """
    key = "model" if kind in ("dda", "bfree", "spai") else "state_dict"
    replaced = CONFIG_CLASSES if kind == "spai" else TRAINER_LOG_CLASSES
    state = in_float32(read_state_dict(source, replaced, key))
    try:
        if kind == "sentry_convnext":
            config, weights = from_sentry_convnext(state)
        elif kind == "sentry_clip":
            config, weights = from_sentry_clip(state, network or SENTRY_CLIP)
        elif kind == "dda":
            config, weights = from_dda(state)
        elif kind == "bfree":
            config, weights = from_bfree(state)
        elif kind == "spai":
            config, weights = from_spai(state)
        elif kind == "rine":
            clip = _backbone_weights(network or RINE_CLIP, backbone)
            config, weights = from_rine(state, clip, network or RINE_CLIP)
        else:
            config, weights = from_univfd(state, network or UNIVFD_CLIP, backbone)
    except ValueError as error:
        msg = f"{source}: {error}"
        raise ValueError(msg) from error
    detector = Detector.from_config_and_weights(config, weights, source)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    detector.save_pretrained(partial)
    origin = {"name": source.name, "sha256": file_digest(source), "kind": kind}
    write_manifest(partial, command="checkpoints convert", source=origin)
    os.replace(partial, target)
    return detector


def from_sentry_convnext(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], Weights]:
    """Convert the state dict of Sentry's ConvNeXt-T, -S or -B.

    Returns:
        Config and weights of a detector.

    Raises:
        ValueError: If it is no such state dict.
    """
    renamed = one_logit(rename(state, CONVNEXT_KEYS, "Sentry ConvNeXt"), "head.fc")
    # the variant, by blocks per stage and width
    blocks = {tuple(key.split(".")[1:4:2]) for key in renamed if ".blocks." in key}
    stages = [stage for stage, _ in blocks]
    depths = (stages.count("0"), stages.count("1"), stages.count("2"), stages.count("3"))
    stem = renamed.get("stem.0.weight")
    width = 0 if stem is None else len(stem)
    if (depths, width) not in CONVNEXTS:
        released = ", ".join(CONVNEXTS.values())
        msg = f"a ConvNeXt with {depths} blocks and {width} channels; released are {released}"
        raise ValueError(msg)
    # timm's pointwise layers are linear, mmpretrain's may be 1x1 convolutions
    weights = {}
    for key, value in renamed.items():
        pointwise = ".mlp.fc" in key and value.ndim == 4
        weights[f"network.network.{key}"] = value.flatten(1) if pointwise else value
    options = {"name": CONVNEXTS[depths, width]}
    return detector_config("timm", options, SENTRY_VIEW, SENTRY_TRAIN_VIEW), weights


def from_sentry_clip(
    state: Mapping[str, Tensor], network: str = SENTRY_CLIP
) -> tuple[dict[str, Any], Weights]:
    """Convert the state dict of Sentry's linear layer on CLIP.

    It includes the frozen ViT-L/14. mmpretrain's layer norms add 1e-6 to the variance, timm's CLIP
    adds 1e-5. Nothing else differs.

    Returns:
        Config and weights of a detector.

    Raises:
        ValueError: If it is no such state dict, or a variant without the last norm, which timm's
            network has.
    """
    renamed = one_logit(rename(state, CLIP_KEYS, "Sentry CLIP"), "linear")
    if "backbone.norm_pre.weight" in renamed and "backbone.norm.weight" not in renamed:
        msg = "a variant trained without CLIP's last norm (wopostnorm); use one with it"
        raise ValueError(msg)
    options = {"name": network, "features": "pooled", "dropout": 0.1, "mean_std": "imagenet"}
    config = detector_config("frozen_linear", options, SENTRY_VIEW, SENTRY_TRAIN_VIEW)
    return config, {f"network.{key}": value for key, value in renamed.items()}


def from_univfd(
    state: Mapping[str, Tensor], network: str = UNIVFD_CLIP, backbone: Path | None = None
) -> tuple[dict[str, Any], Weights]:
    """Convert UnivFD's head, and join it with CLIP's weights.

    Args:
        state: State dict of the head: ``weight``, (1, D), and ``bias``, (1,).
        network: timm's name of the backbone.
        backbone: Weight file of the backbone in timm's format; fetched by timm if None.

    Returns:
        Config and weights of a detector.

    Raises:
        FileNotFoundError: If the backbone's weights are missing.
        ValueError: If it is no such head.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    width = shapes.get("weight", ())[1:]
    if shapes != {"weight": (1, *width), "bias": (1,)} or len(width) != 1:
        shown = ", ".join(f"{key} {shape}" for key, shape in list(shapes.items())[:3])
        msg = f"not UnivFD's head, which is weight (1, D) and bias (1): it has {shown}"
        raise ValueError(msg)
    check_name(network)
    weights = {}
    for key, value in _backbone_weights(network, backbone).items():
        weights[f"network.backbone.{key}"] = value
    for key, value in state.items():
        weights[f"network.linear.{key}"] = value
    options = {"name": network, "features": "embedding"}
    config = detector_config("frozen_linear", options, UNIVFD_VIEW, UNIVFD_TRAIN_VIEW)
    return config, weights


def _backbone_weights(network: str, file: Path | None) -> Mapping[str, Tensor]:
    """Read a backbone's weights from a file, or fetch them with timm.

    Raises:
        FileNotFoundError: If they cannot be fetched.
    """
    if file is not None:
        return read_tensors(file)
    import timm  # takes seconds

    try:
        return timm.create_model(network, pretrained=True).state_dict()
    except Exception as error:  # the Hub's and timm's errors of every kind
        reason = str(error).splitlines()[0]
        msg = (
            f"the weights of {network} cannot be fetched ({reason}); give them with --backbone FILE"
        )
        raise FileNotFoundError(msg) from error


def one_logit(weights: Weights, head: str) -> Weights:
    """Replace a head's two logits, generated and real, by their difference.

    Raises:
        ValueError: If the head does not have two logits.
    """
    parts = {name: weights.get(f"{head}.{name}") for name in ("weight", "bias")}
    if any(part is None or len(part) != 2 for part in parts.values()):
        shapes = []
        for name, part in parts.items():
            shapes.append(f"{name} {None if part is None else tuple(part.shape)}")
        msg = (
            "its last layer does not have two answers, generated and photograph, "
            f"but {', '.join(shapes)}"
        )
        raise ValueError(msg)
    merged = dict(weights)
    for name, part in parts.items():
        if part is not None:
            merged[f"{head}.{name}"] = part[:1] - part[1:]
    return merged

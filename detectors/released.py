"""The formats of released detectors, read strictly: Sentry's ConvNeXt and CLIP checkpoints, and UnivFD's head.

Sentry's files are mmpretrain's, trainer and all; their two logits are generated first, photographs second. Under a softmax the
difference of the two is this project's one logit, 1 being generated. UnivFD's one logit is that already.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from checkpoints.safe import read_state_dict
from checkpoints.tensors import in_float32, read_tensors
from detectors.detector import Detector
from detectors.networks.backbone import check_name
from engine.files import file_digest
from engine.manifest import write_manifest
from images.transforms.views import View

Weights = dict[str, Tensor]

LEFTOVERS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "builtins.getattr",
)
"""What the trainer's log left in Sentry's files; none of it is run."""

CONVNEXTS: dict[tuple[tuple[int, ...], int], str] = {
    ((3, 3, 9, 3), 96): "convnext_tiny",
    ((3, 3, 27, 3), 96): "convnext_small",
    ((3, 3, 27, 3), 128): "convnext_base",
}
"""timm's name by blocks of the stages and width of the first."""

CONVNEXT_KEYS = {
    r"backbone\.downsample_layers\.0\.([01])\.(weight|bias)": r"stem.\1.\2",
    r"backbone\.downsample_layers\.([123])\.([01])\.(weight|bias)": r"stages.\1.downsample.\2.\3",
    r"backbone\.stages\.(\d+)\.(\d+)\.depthwise_conv\.(weight|bias)": r"stages.\1.blocks.\2.conv_dw.\3",
    r"backbone\.stages\.(\d+)\.(\d+)\.norm\.(weight|bias)": r"stages.\1.blocks.\2.norm.\3",
    r"backbone\.stages\.(\d+)\.(\d+)\.pointwise_conv([12])\.(weight|bias)": r"stages.\1.blocks.\2.mlp.fc\3.\4",
    r"backbone\.stages\.(\d+)\.(\d+)\.gamma": r"stages.\1.blocks.\2.gamma",
    r"backbone\.norm3\.(weight|bias)": r"head.norm.\1",
    r"head\.fc\.(weight|bias)": r"head.fc.\1",
}
"""mmpretrain's names to timm's."""

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
"""With the activation that OpenAI's model, and so the head's features, have."""


def import_released(
    source: Path, target: Path, kind: str, network: str | None = None, backbone: Path | None = None
) -> Detector:
    """Write a released file as a detector's folder, which :meth:`Detector.from_pretrained` opens; whole or not at all.

    Args:
        source: The file; opened without running anything in it.
        target: The folder to write.
        kind: ``sentry_convnext``, ``sentry_clip`` or ``univfd``.
        network: timm's name of the frozen backbone, where it is another than the release's; for ``sentry_clip`` and ``univfd``.
        backbone: The backbone's weights under timm's names, for ``univfd``, whose file holds only the head; fetched by timm if None.

    Raises:
        FileNotFoundError: If there is no such file, or the backbone cannot be had.
        ValueError: If it is damaged or anything but such a release; the message names the first thing wrong.
    """
    state = in_float32(read_state_dict(source, replaced=LEFTOVERS))
    try:
        if kind == "sentry_convnext":
            config, weights = from_sentry_convnext(state)
        elif kind == "sentry_clip":
            config, weights = from_sentry_clip(state, network or SENTRY_CLIP)
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
    """Settings and weights of a detector, from the state dict of Sentry's ConvNeXt-T, -S or -B.

    Raises:
        ValueError: If it is none.
    """
    renamed = one_logit(rename(state, CONVNEXT_KEYS, "Sentry ConvNeXt"), "head.fc")
    places = {tuple(key.split(".")[1:4:2]) for key in renamed if ".blocks." in key}
    depths = tuple(sum(stage == str(number) for stage, _ in places) for number in range(4))
    stem = renamed.get("stem.0.weight")
    width = 0 if stem is None else len(stem)
    if (depths, width) not in CONVNEXTS:
        msg = f"a ConvNeXt with {depths} blocks and {width} channels; released are {', '.join(CONVNEXTS.values())}"
        raise ValueError(msg)
    squeezed = {
        key: value.flatten(1) if ".mlp.fc" in key and value.ndim == 4 else value
        for key, value in renamed.items()
    }
    config = described("timm", {"name": CONVNEXTS[depths, width]}, SENTRY_VIEW, SENTRY_TRAIN_VIEW)
    return config, {f"network.network.{key}": value for key, value in squeezed.items()}


def from_sentry_clip(
    state: Mapping[str, Tensor], network: str = SENTRY_CLIP
) -> tuple[dict[str, Any], Weights]:
    """The same from Sentry's linear layer on CLIP, whose file holds the frozen ViT-L/14, too.

    mmpretrain's layer norms add 1e-6 to the variance where timm's CLIP adds 1e-5; nothing else differs.

    Raises:
        ValueError: If it is no such file, or one of the variants without the last norm, which timm's network has.
    """
    renamed = one_logit(rename(state, CLIP_KEYS, "Sentry CLIP"), "linear")
    if "backbone.norm_pre.weight" in renamed and "backbone.norm.weight" not in renamed:
        msg = "a variant trained without CLIP's last norm (wopostnorm); use one with it"
        raise ValueError(msg)
    options = {"name": network, "features": "pooled", "dropout": 0.1, "mean_std": "imagenet"}
    return described("frozen_linear", options, SENTRY_VIEW, SENTRY_TRAIN_VIEW), {
        f"network.{key}": value for key, value in renamed.items()
    }


def from_univfd(
    state: Mapping[str, Tensor], network: str = UNIVFD_CLIP, backbone: Path | None = None
) -> tuple[dict[str, Any], Weights]:
    """The same from UnivFD's head, which is a weight and a bias, and CLIP's weights from elsewhere.

    Raises:
        FileNotFoundError: If the backbone cannot be had.
        ValueError: If it is no such head.
    """
    if (
        set(state) != {"weight", "bias"}
        or state["weight"].ndim != 2
        or len(state["weight"]) != 1
        or state["bias"].shape != (1,)
    ):
        found = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(state.items())[:3])
        msg = f"not UnivFD's head, which is weight (1, D) and bias (1): it has {found}"
        raise ValueError(msg)
    check_name(network)
    if backbone is not None:
        frozen = read_tensors(backbone)
    else:
        import timm  # takes seconds

        try:
            frozen = timm.create_model(network, pretrained=True).state_dict()
        except Exception as error:  # the Hub's and timm's errors of every kind
            msg = f"the weights of {network} cannot be fetched ({str(error).splitlines()[0]}); give them with --backbone FILE"
            raise FileNotFoundError(msg) from error
    weights = {f"network.backbone.{key}": value for key, value in frozen.items()}
    weights |= {f"network.linear.{key}": value for key, value in state.items()}
    return described(
        "frozen_linear", {"name": network, "features": "embedding"}, UNIVFD_VIEW, UNIVFD_TRAIN_VIEW
    ), weights


def rename(state: Mapping[str, Tensor], names: Mapping[str, str], what: str) -> Weights:
    """Every entry under its new name.

    Raises:
        ValueError: If one has none.
    """
    renamed = {}
    for key, value in state.items():
        pattern = next((pattern for pattern in names if re.fullmatch(pattern, key)), None)
        if pattern is None:
            msg = f"'{key}' does not belong to a released {what} checkpoint"
            raise ValueError(msg)
        renamed[re.sub(pattern, names[pattern], key)] = value
    return renamed


def one_logit(weights: Weights, head: str) -> Weights:
    """Two logits, generated and photograph, as their difference, which is above 0 for generated.

    Raises:
        ValueError: If there are not two.
    """
    parts = {name: weights.get(f"{head}.{name}") for name in ("weight", "bias")}
    if any(part is None or len(part) != 2 for part in parts.values()):
        shapes = ", ".join(
            f"{name} {None if part is None else tuple(part.shape)}" for name, part in parts.items()
        )
        msg = f"its last layer does not have two answers, generated and photograph, but {shapes}"
        raise ValueError(msg)
    return weights | {
        f"{head}.{name}": part[:1] - part[1:] for name, part in parts.items() if part is not None
    }


def described(
    network: str, options: dict[str, Any], view: View, train_view: View
) -> dict[str, Any]:
    """A detector's settings, as its ``config.json`` has them."""
    views = {"view": asdict(view), "train_view": asdict(train_view)}
    return {
        "model": "Detector",
        "format": Detector.FORMAT,
        "network": network,
        "options": options,
    } | views

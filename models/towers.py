"""CLIP, SigLIP, DINO and DINOv2 of the transformers library as embedders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints.whole import explaining_load_errors
from models.preprocessing import CLIP_MEAN, CLIP_STD, HALF, Preprocessing

KINDS = {"clip": "CLIPModel", "siglip": "SiglipModel", "vit": "ViTModel", "dinov2": "Dinov2Model"}
"""Classes of the transformers library by ``model_type`` of config.json."""

MAX_SIZES = {"image_size": 4096, "max_position_embeddings": 65_536, "vocab_size": 4_000_000}
"""Limits of settings, so that a small file cannot exhaust the memory."""


class ImageTextTowers(nn.Module):
    """Image and text encoders of CLIP or SigLIP, without normalization.

    Args:
        model: Model of the transformers library.
        tokenizer: The model's tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer

    def forward(self, views: Tensor) -> Tensor:
        """Embed preprocessed (B, 3, S, S) images to (B, D)."""
        return self.model.get_image_features(pixel_values=views).pooler_output

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed N texts to (N, D); long texts are truncated."""
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_tensors="pt",
        )
        inputs = {"input_ids": tokens["input_ids"].to(self.model.device)}
        if self.model.config.model_type == "clip":
            inputs["attention_mask"] = tokens["attention_mask"].to(self.model.device)
        return self.model.get_text_features(**inputs).pooler_output


class ClassToken(nn.Module):
    """Last-layer class token of DINO or DINOv2.

    Args:
        model: Model of the transformers library.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, views: Tensor) -> Tensor:
        """Embed preprocessed (B, 3, S, S) images to (B, D)."""
        return self.model(views, interpolate_pos_encoding=True).last_hidden_state[:, 0]


def open_towers(folder: Path, config: dict[str, Any]) -> tuple[nn.Module, Preprocessing]:
    """Open a model of the transformers library with its preprocessing.

    Args:
        folder: Folder of the model.
        config: Content of config.json, with a ``model_type`` of :data:`KINDS`.

    Raises:
        ValueError: If the model is damaged, or its settings do not fit its weights.
    """
    import transformers

    kind = config["model_type"]
    _check_sizes(folder, config)
    network = load_pretrained(
        getattr(transformers, KINDS[kind]),
        folder,
        **({"add_pooling_layer": False} if kind == "vit" else {}),
    )
    if kind in ("clip", "siglip"):
        side = network.config.vision_config.image_size
        towers = ImageTextTowers(network, transformers.AutoTokenizer.from_pretrained(folder))
        if kind == "clip":
            return towers, Preprocessing(
                side, side, "bicubic", mean=CLIP_MEAN, std=CLIP_STD, on="uint8"
            )
        return towers, Preprocessing(side, None, "bicubic", mean=HALF, std=HALF, on="uint8")
    side = network.config.image_size if kind == "vit" else min(224, network.config.image_size)
    return ClassToken(network), Preprocessing(side, shorter_side(side), on="uint8")


def shorter_side(side: int) -> int:
    """Compute the length of the shorter side before DINO's crop."""
    return round(side * 256 / 224)


def load_pretrained(kind: Any, folder: Path, **settings: Any) -> Any:
    """Open a model in float32, in evaluation mode, with all weights from its files.

    Args:
        kind: Class of the transformers library.
        folder: Folder of the model.
        settings: Further arguments of ``from_pretrained``.

    Raises:
        ValueError: If the model is damaged, or weights are missing.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with explaining_load_errors(folder):
            model, report = kind.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, **settings
            )
    finally:
        logging.set_verbosity(level)
    if missing := sorted(report["missing_keys"]):
        msg = (
            f"{folder}: {len(missing)} weights are missing, the first is {missing[0]}; "
            "get a whole copy of it"
        )
        raise ValueError(msg)
    return model.eval().requires_grad_(False)


def _check_sizes(folder: Path, config: dict[str, Any]) -> None:
    """Refuse settings that do not fit the weights, before building the model."""
    from safetensors import SafetensorError, safe_open

    entries = 0
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as opened:
                entries += len(list(opened.keys()))
        except SafetensorError as error:
            msg = f"{file} is damaged ({error}); get a whole copy of it"
            raise ValueError(msg) from error
    parts = [
        config,
        *(
            config[part]
            for part in ("text_config", "vision_config")
            if isinstance(config.get(part), dict)
        ),
    ]
    limits = MAX_SIZES | (
        {"num_hidden_layers": entries} if entries else {"num_hidden_layers": 1000}
    )
    for part in parts:
        for key, most in limits.items():
            value = part.get(key, 1)
            if not isinstance(value, int) or not 1 <= value <= most:
                msg = (
                    f"{folder / 'config.json'}: {key} is {value!r}, "
                    "which does not fit its weights; get a whole copy of it"
                )
                raise ValueError(msg)

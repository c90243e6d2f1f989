"""Loading of pipelines that edit images, of any family that diffusers has."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    DiffusionPipeline,
)

from checkpoints.folders import PIPELINE_FILES, model_folder, read_config
from checkpoints.whole import absent_parts, explaining_load_errors
from engine.records import read_json
from models.pipelines import KINDS, open_autoencoder

Opener = type[DiffusionPipeline | AutoPipelineForImage2Image | AutoPipelineForInpainting]
"""A pipeline's class; diffusers' two automatic classes choose it by task and model."""


def open_editor(name: str, opener: Opener, dtype: torch.dtype = torch.float32) -> Any:
    """Open a pipeline that edits images, without progress bars and safety checker.

    Args:
        name: Folder or Hub id.
        opener: ``DiffusionPipeline`` for the class that the model names itself.
        dtype: Type of the weights.

    Raises:
        FileNotFoundError: If the model cannot be found.
        ValueError: If diffusers has no such pipeline for the model, or cannot open it.
    """
    folder = model_folder(name, "model_index.json", patterns=PIPELINE_FILES)
    index = read_json(folder / "model_index.json", dict[str, Any], "get the model again")
    parts: dict[str, Any] = absent_parts(folder)
    if "safety_checker" in index:
        parts["safety_checker"] = None
    if (folder / "vae").is_dir() and read_config(folder / "vae").get("_class_name") in KINDS:
        parts["vae"] = open_autoencoder(folder).to(dtype)
    with explaining_load_errors(folder):
        pipeline: Any = opener.from_pretrained(folder, dtype=dtype, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def image_side(pipeline: Any) -> int | None:
    """Side of a UNet pipeline's images, in pixels; None for pipelines that take any size."""
    unet = getattr(pipeline, "unet", None)
    if unet is None:
        return None
    return int(unet.config.sample_size * pipeline.vae_scale_factor)

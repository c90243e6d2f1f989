"""Denoisers of latent diffusion models: families, noise schedules and latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoints.folders import pipeline_folder
from engine.records import read_json
from models.denoisers.family import Conditions, Family
from models.denoisers.flux import Flux1
from models.denoisers.flux2 import Flux2, Flux2Klein
from models.denoisers.sd3 import StableDiffusion3
from models.denoisers.unet import StableDiffusion, StableDiffusionXL

__all__ = ["Conditions", "Family", "open_family"]

FAMILIES: tuple[type[Family], ...] = (
    StableDiffusion,
    StableDiffusionXL,
    StableDiffusion3,
    Flux1,
    Flux2,
    Flux2Klein,
)


def open_family(name: str) -> Family:
    """Find a model, and tell its family by its pipeline class.

    Args:
        name: Folder or Hub id; see :func:`checkpoints.folders.model_folder`.

    Raises:
        FileNotFoundError: If the model cannot be found.
        ValueError: If it is of no known family.
    """
    folder = Path(pipeline_folder(name))
    index = read_json(folder / "model_index.json", dict[str, Any], "get the model again")
    kind = index.get("_class_name")
    known = {family.pipeline_class.__name__: family for family in FAMILIES}
    if kind not in known:
        msg = f"{name} is a {kind}; a {', '.join(known)} is needed"
        raise ValueError(msg)
    return known[str(kind)](folder)

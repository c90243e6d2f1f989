"""Model classes that this project can load, by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkpoints.golden import Outputs
    from checkpoints.saved import SavedModel

MODELS = {
    "PerturbationGenerator": "rid.generator",
    "Detector": "detectors.detector",
    "FaceNet": "models.faces.face_net",
    "CopyNet": "models.copy_net",
    "PhotoCopyNet": "models.photo_copy_net",
    "ImageTextNet": "models.image_text_net",
}
"""Module of each class that a ``config.json`` may name."""

DISTINCTIVE_SETTINGS = {
    "budget": "PerturbationGenerator",
    "embedding": "FaceNet",
    "train_view": "Detector",
}
"""Settings that identify the class of the first model folders, which do not name it."""


def class_of(config: dict[str, Any]) -> type[SavedModel] | None:
    """Find the model class of a folder's settings; None if the class is not of this project."""
    name = str(config.get("model") or "")
    if not name:
        kinds = [kind for setting, kind in DISTINCTIVE_SETTINGS.items() if setting in config]
        name = kinds[0] if kinds else ""
    return getattr(importlib.import_module(MODELS[name]), name) if name in MODELS else None


def run_pipeline(folder: Path) -> Outputs:
    """Compute the outputs of a diffusion pipeline for fixed inputs."""
    return dict(importlib.import_module("models.pipelines").pipeline_outputs(folder))

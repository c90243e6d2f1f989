"""Detectors without training, as model folders."""

from __future__ import annotations

from pathlib import Path

from checkpoints.folders import model_folder
from detectors.detector import Detector
from engine.manifest import write_manifest
from images.transforms.views import View

RECONSTRUCTED = View("crop", size=512, resize=512)
"""Center of an image, not resized, as in AEROBLADE; small images are enlarged."""

NOISED = View("resize_crop", size=224, resize=256)
"""Shorter side to 256 pixels, center of 224, as in RIGID."""


def training_free(source: str, target: Path, kind: str) -> Detector:
    """Write a detector that needs no training.

    Args:
        source: For ``aeroblade`` the autoencoder: folder or Hub id, also of a pipeline. For
            ``rigid`` timm's name of the backbone.
        target: Folder to write.
        kind: ``aeroblade`` or ``rigid``.

    Raises:
        FileNotFoundError: If there is no such autoencoder.
        ValueError: If the autoencoder is not supported, or timm has no such backbone.
    """
    if kind == "aeroblade":
        from models.pipelines import AUTOENCODER_FILES, open_autoencoder

        opened = open_autoencoder(model_folder(source, patterns=AUTOENCODER_FILES))
        settings = {key: value for key, value in opened.config.items() if key[0] != "_"}
        options = {"autoencoder": type(opened).__name__, "config": settings}
        detector = Detector("reconstruction", options, RECONSTRUCTED, RECONSTRUCTED)
        detector.network.autoencoder.load_state_dict(opened.state_dict())
    else:
        detector = Detector("noise", {"name": source, "pretrained": True}, NOISED, NOISED)
    detector.save_pretrained(target)
    write_manifest(target, command="detectors convert", source={"name": source, "kind": kind})
    return detector

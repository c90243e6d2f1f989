"""IP-Adapters of diffusers: their files, and loading into a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors


def adapter_files(file: str, image_encoder: str | None) -> list[str]:
    """List the files of an adapter; its repository holds more.

    Args:
        file: The adapter's weights.
        image_encoder: Folder of its image encoder; None for an adapter without.
    """
    if image_encoder is None:
        return [file]
    return [file, f"{image_encoder}/config.json", f"{image_encoder}/model.safetensors"]


def adapter_folder(name: str, file: str, image_encoder: str | None) -> Path:
    """Find the folder of an adapter, and download its files if needed.

    Args:
        name: Folder or Hub id.
        file: The adapter's weights in it.
        image_encoder: Folder of its image encoder in it; None for an adapter without.

    Raises:
        FileNotFoundError: If a file cannot be found.
    """
    files = adapter_files(file, image_encoder)
    return model_folder(name, *files, patterns=files)


def add_adapter(pipeline: Any, folder: Path, file: str, image_encoder: str | None) -> None:
    """Load an adapter into a pipeline.

    Args:
        pipeline: A pipeline that takes adapters.
        folder: As of :func:`adapter_folder`.
        file: The adapter's weights in it.
        image_encoder: Folder of its image encoder in it; None for an adapter without.

    Raises:
        ValueError: If the adapter is damaged, or made for another pipeline.
    """
    # diffusers takes a folder with a slash as relative to the adapter's, not to the weights'.
    encoder = None if image_encoder is None else f"./{image_encoder}"
    with explaining_load_errors(folder):
        pipeline.load_ip_adapter(
            str(folder), subfolder="", weight_name=file, image_encoder_folder=encoder
        )

"""Reference images: other clean images of the people to protect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from images.inputs import ImageInput, find_images
from rid.pairs.config import PairConfig


def find_references(
    config: PairConfig, inputs: Sequence[ImageInput]
) -> dict[str, list[ImageInput]]:
    """Find the reference images of each folder of inputs.

    Args:
        config: Settings; without a reference folder there are none.
        inputs: The images to protect.

    Returns:
        Images by the folder's name; empty without a reference folder.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a folder of inputs has no reference images, or one cannot be read.
    """
    if config.reference is None:
        return {}
    found = find_images([Path(config.reference)])
    if found.failed:
        name, reason = next(iter(found.failed.items()))
        msg = f"reference image {name}: {reason}"
        raise ValueError(msg)
    references: dict[str, list[ImageInput]] = {}
    for image in found.images:
        references.setdefault(str(Path(image.name).parent), []).append(image)
    for folder in dict.fromkeys(str(Path(image.name).parent) for image in inputs):
        if folder not in references:
            msg = (
                f"{config.reference} has no images in '{folder}': reference images of a person lie "
                "in a folder of the same name"
            )
            raise ValueError(msg)
    return references


def reference_digest(references: Mapping[str, Sequence[ImageInput]]) -> str:
    """Return one sha256 of all reference images, for the manifest."""
    digest = hashlib.sha256()
    for folder, images in sorted(references.items()):
        for image in images:
            digest.update(f"{folder}\0{image.digest()}\0".encode())
    return digest.hexdigest()

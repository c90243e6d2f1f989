"""Folders of images as training data, in place of drawn portraits."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from engine.files import read_text
from images.inputs import ImageInput, find_images
from images.transforms.geometry import center_crop_photo

DEFAULT_CAPTION = "photo of a person"
VALIDATION_INTERVAL = 50
"""Every fiftieth image is for validation."""


class CaptionedImage(TypedDict):
    """An image (3, S, S) in [0, 1] with its caption."""

    image: Tensor
    caption: str


class CaptionedImages(Dataset[CaptionedImage]):
    """Image files with captions.

    The shorter side is resized to ``size``, and the image is center-cropped. The caption is in a
    text file beside the image, ``NAME.txt`` for ``NAME.jpg``; the default is
    :data:`DEFAULT_CAPTION`.

    Args:
        files: The image files.
        size: Side in pixels.
    """

    def __init__(self, files: list[ImageInput], size: int) -> None:
        self.files = files
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> CaptionedImage:
        photo = center_crop_photo(self.files[index].open(), self.size)
        return CaptionedImage(image=photo.tensor(), caption=self.caption(index))

    def __getitems__(self, indices: list[int]) -> list[CaptionedImage]:
        return [self[index] for index in indices]

    def caption(self, index: int) -> str:
        """Return an image's caption without opening the image."""
        file = self.files[index]
        text = file.path.with_suffix(".txt")
        if file.member is None and text.is_file():
            return read_text(text).strip()
        return DEFAULT_CAPTION


def split_folder(folder: Path, size: int) -> tuple[CaptionedImages, CaptionedImages]:
    """Split the images of a folder and its sub-folders into training and validation.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If there are fewer than :data:`VALIDATION_INTERVAL`.
    """
    files = find_images([folder]).complete()
    if len(files) < VALIDATION_INTERVAL:
        msg = (
            f"{folder}: {len(files)} images; training needs at least {VALIDATION_INTERVAL}, "
            "and a good model thousands"
        )
        raise ValueError(msg)
    validation = files[VALIDATION_INTERVAL - 1 :: VALIDATION_INTERVAL]
    excluded = set(validation)
    training = [file for file in files if file not in excluded]
    return CaptionedImages(training, size), CaptionedImages(validation, size)

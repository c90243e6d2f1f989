"""Anybody's pictures as training data: any folder in place of the drawn portraits."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from engine.files import read_text
from images.inputs import ImageInput, find_images
from images.transforms.geometry import center_crop_photo

CAPTION = "photo of a person"
HELD_OUT = 50
"""Every so-manieth picture is for validation."""


class CaptionedPicture(TypedDict):
    """``image`` (3, S, S) in [0, 1], and what it shows in words."""

    image: Tensor
    caption: str


class CaptionedPictures(Dataset[CaptionedPicture]):
    """Picture files, the shorter side resized to ``size``, then centre-cropped.

    The caption is in a text file beside the picture, ``NAME.txt`` for ``NAME.jpg``; without one it is :data:`CAPTION`.

    Args:
        files: The pictures.
        size: Side in pixels.
    """

    def __init__(self, files: list[ImageInput], size: int) -> None:
        self.files, self.size = files, size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> CaptionedPicture:
        return CaptionedPicture(
            image=center_crop_photo(self.files[index].open(), self.size).tensor(),
            caption=self.caption(index),
        )

    def __getitems__(self, indices: list[int]) -> list[CaptionedPicture]:
        return [self[index] for index in indices]

    def caption(self, index: int) -> str:
        """A picture's caption, without opening the picture."""
        file = self.files[index]
        text = file.path.with_suffix(".txt")
        return read_text(text).strip() if file.member is None and text.is_file() else CAPTION


def captioned_folder(folder: Path, size: int) -> tuple[CaptionedPictures, CaptionedPictures]:
    """The pictures in a folder and its sub-folders, to train on and held out.

    Raises:
        FileNotFoundError: If it has none.
        ValueError: If it has fewer than ``HELD_OUT``.
    """
    files = find_images([folder]).complete()
    if len(files) < HELD_OUT:
        msg = f"{folder}: {len(files)} pictures; training a model takes at least {HELD_OUT}, and thousands for a good one"
        raise ValueError(msg)
    held_out = files[HELD_OUT - 1 :: HELD_OUT]
    kept = set(held_out)
    return CaptionedPictures([file for file in files if file not in kept], size), CaptionedPictures(
        held_out, size
    )

"""Opening and saving picture files: the only code that decodes them."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""File name endings taken for pictures."""


class UnreadableImage(ValueError):
    """A file that is not a picture, is cut short, or is too large to open safely."""


@dataclass(frozen=True)
class Photo:
    """A decoded picture: ``rgb`` (H, W, 3) uint8, and ``alpha`` (H, W) uint8 where the file had one."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None

    def tensor(self) -> Tensor:
        """(3, H, W) float32 in [0, 1]."""
        return torch.from_numpy(self.rgb.copy()).permute(2, 0, 1).float() / 255


def open_photo(path: Path) -> Photo:
    """Decode a picture file, upright as its EXIF orientation says.

    Raises:
        UnreadableImage: If it cannot be decoded; the message names the file and the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                has_alpha = "A" in upright.getbands() or "transparency" in upright.info
                if upright.mode.startswith(("I", "F")):
                    depth = np.asarray(upright, dtype=np.float32)
                    upright = Image.fromarray((depth / (256 if depth.max() > 255 else 1)).clip(0, 255).astype(np.uint8))
                alpha = np.asarray(upright.convert("RGBA").getchannel("A")) if has_alpha else None
                return Photo(np.asarray(upright.convert("RGB")), alpha)
    except UnidentifiedImageError as error:
        msg = f"{path}: not a picture, whatever its name says; remove or rename it"
        raise UnreadableImage(msg) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down first"
        raise UnreadableImage(msg) from error
    except (OSError, SyntaxError, ValueError) as error:
        msg = f"{path}: damaged or cut short ({error}); get a complete copy"
        raise UnreadableImage(msg) from error


def to_levels(images: Tensor) -> Tensor:
    """Grey levels 0 to 255, uint8, from values in [0, 1]: rounded to the nearest, as a saved file holds them."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def save_png(rgb: NDArray[np.uint8], target: Path, alpha: NDArray[np.uint8] | None = None) -> None:
    """Save (H, W, 3) losslessly as PNG, beside its place first, so that no half-written file is ever found there."""
    image = Image.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        image.save(partial, format="PNG")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def find_pictures(root: Path) -> tuple[list[Path], list[Path]]:
    """Files below a folder, sorted: those whose names say they are pictures, and the others.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no pictures.
    """
    if not root.is_dir():
        msg = f"{root}: no such folder"
        raise FileNotFoundError(msg)
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        msg = f"{root}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}"
        raise FileNotFoundError(msg)
    return pictures, [path for path in files if path.suffix.lower() not in SUFFIXES]

"""Images as Python programs hand them over: files, Pillow images, arrays and tensors."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.files import file_digest
from images.io import open_photo, read_photo, save_png, to_uint8
from images.kinds import UnreadableImage
from images.marks import KEY, marks_text
from images.photo import Photo

if TYPE_CHECKING:
    from torch import Tensor

ImageLike: TypeAlias = "Image.Image | str | Path | NDArray[np.uint8] | Tensor | Photo"
"""One image in any of these forms: a path, a Pillow image, a decoded photo, an array (H, W, 3) of
uint8, or a tensor (3, H, W) in [0, 1] or of uint8."""

Images: TypeAlias = "ImageLike | Sequence[ImageLike]"
"""An image, several, or a tensor (B, 3, H, W) in [0, 1] or uint8."""


@dataclass(frozen=True)
class GivenImage:
    """An image that a program handed over.

    Attributes:
        name: Its file's path; ``image 1``, ``image 2``, ... where there is no file.
        photo: The decoded image, upright.
        file: Its file; None where there is none.
    """

    name: str
    photo: Photo
    file: Path | None = None

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of the file, or of the (H, W, 3) values where there is no file."""
        if self.file is not None:
            return file_digest(self.file)
        return hashlib.sha256(self.photo.rgb.tobytes()).hexdigest()


@dataclass(frozen=True)
class ChangedImage:
    """An image after an imperceptible change.

    Attributes:
        name: The original's file, or ``image 1``, ``image 2``, ... where there was none.
        photo: The changed image, 8 bits a value, with the metadata, profile and transparency of the
            original.
        levels: Largest change of a value, in gray levels of 255.
        psnr: Peak signal-to-noise ratio in dB; higher is closer.
        ssim: Structural similarity, at most 1; higher is closer. None for images that are too small
            to have one.
    """

    name: str
    photo: Photo
    levels: int
    psnr: float | None
    ssim: float | None

    @property
    def image(self) -> Image.Image:
        """The changed image as Pillow has it: RGB, or RGBA with transparency."""
        return to_pillow(self.photo)

    def tensor(self) -> Tensor:
        """Values of the changed image, (3, H, W) float32 in [0, 1]."""
        return self.photo.tensor()

    def save(self, path: str | Path) -> None:
        """Save losslessly as PNG, with metadata.

        Raises:
            ValueError: If the file's name does not end in ``.png``.
        """
        if Path(path).suffix.lower() != ".png":
            msg = (
                f"{path}: changed images are saved as PNG, which keeps every value; "
                "end the name in .png"
            )
            raise ValueError(msg)
        save_png(self.photo, Path(path))


def given_images(images: Images) -> list[GivenImage]:
    """Decode images in whichever form they were handed over.

    Args:
        images: One or several; see :data:`Images`.

    Raises:
        UnreadableImage: If a file or a Pillow image cannot be decoded; the message names it.
        TypeError: If it is anything else.
        ValueError: If an array or a tensor has another shape or range.
    """
    return [
        _given(image, f"image {number}") for number, image in enumerate(_listed(images), start=1)
    ]


def from_pillow(image: Image.Image, name: str = "the image") -> Photo:
    """Take over a Pillow image, upright as its EXIF orientation says.

    Args:
        image: The image; it stays as it is.
        name: What messages call it.

    Raises:
        UnreadableImage: If its file is damaged, or its values have no known range.
    """
    try:
        own = image.copy()
        # copies lack a JPEG's comments
        own.applist = getattr(image, "applist", [])  # type: ignore[attr-defined]
        return read_photo(own, io.BytesIO(), [])
    except (
        Exception
    ) as error:  # a damaged file, which Pillow decodes only now, makes it raise nearly anything
        msg = f"{name}: {error}"
        raise UnreadableImage(msg) from error


def to_pillow(photo: Photo) -> Image.Image:
    """Hand a photo over to Pillow: RGB or RGBA, with its profile and marks in ``info``."""
    pixels = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    image = Image.fromarray(pixels)
    if photo.icc is not None:
        image.info["icc_profile"] = photo.icc
    if photo.metadata.marks:
        image.info[KEY] = marks_text(photo.metadata.marks)
    return image


def _listed(images: Any) -> list[Any]:
    single = isinstance(images, Image.Image | str | Path | Photo)
    if isinstance(images, np.ndarray) or _is_tensor(images):
        single = images.ndim != 4
    return [images] if single else list(images)


def _given(image: Any, name: str) -> GivenImage:
    if isinstance(image, str | Path):
        return GivenImage(str(image), open_photo(Path(image)), Path(image))
    return GivenImage(name, _photo(image, name))


def _photo(image: Any, name: str) -> Photo:
    if isinstance(image, Photo):
        return image
    if isinstance(image, Image.Image):
        return from_pillow(image, name)
    if isinstance(image, np.ndarray):
        return Photo(_checked_levels(image, name, image.shape[-1:] == (3,)))
    if _is_tensor(image):
        levels = _levels_of_tensor(image, name)
        return Photo(_checked_levels(levels, name, True))
    msg = (
        f"{name}: a {type(image).__name__} is not an image; give a path, a Pillow image, "
        "an array or a tensor"
    )
    raise TypeError(msg)


def _is_tensor(image: Any) -> bool:
    import torch

    return isinstance(image, torch.Tensor)


def _levels_of_tensor(image: Tensor, name: str) -> NDArray[Any]:
    if image.ndim != 3 or image.shape[0] != 3:
        msg = f"{name}: a tensor of shape {tuple(image.shape)}; give (3, H, W) or (B, 3, H, W), RGB"
        raise ValueError(msg)
    if image.is_floating_point():
        values = image.detach().float()
        low, high = (float(bound) for bound in values.aminmax())
        if not (low >= 0 and high <= 1):  # also where a value is not a number
            msg = f"{name}: values from {low:g} to {high:g}; give floats in [0, 1]"
            raise ValueError(msg)
        image = to_uint8(values)
    return image.permute(1, 2, 0).contiguous().cpu().numpy()


def _checked_levels(levels: NDArray[Any], name: str, rgb: bool) -> NDArray[np.uint8]:
    if levels.dtype != np.uint8 or levels.ndim != 3 or not rgb or not levels.size:
        msg = (
            f"{name}: an array of {levels.dtype} of shape {levels.shape}; give (H, W, 3) "
            "of uint8, RGB"
        )
        raise ValueError(msg)
    return np.ascontiguousarray(levels)

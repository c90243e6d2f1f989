"""Opening and saving picture files: the only code that decodes them, but for the plain PNG files of :mod:`images.png`."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from engine.files import write_bytes
from images.formats import SUFFIXES, UNSUPPORTED


class UnreadableImage(ValueError):
    """A file that is not a picture, is cut short, or is too large to open safely."""


@dataclass(frozen=True)
class Photo:
    """A decoded picture.

    ``rgb`` is (H, W, 3) uint8; ``alpha`` (H, W) uint8 where the file had one; ``icc`` the colour profile its values are in;
    ``exif`` the camera's notes without orientation, which is applied, and without the thumbnail, which is a copy of the picture.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    def tensor(self) -> Tensor:
        """(3, H, W) float32 in [0, 1]."""
        return torch.from_numpy(self.rgb.copy()).permute(2, 0, 1).float() / 255


def open_photo(path: Path) -> Photo:
    """Decode a picture file, upright as its EXIF orientation says.

    Raises:
        UnreadableImage: If it cannot be decoded; the message names the file and the reason.
    """
    if path.suffix.lower() in UNSUPPORTED:
        msg = f"{path}: {path.suffix} files are not read; convert it to PNG, JPEG, WebP or TIFF first"
        raise UnreadableImage(msg)
    return decode_photo(path, str(path))


def decode_photo(source: Path | BinaryIO, name: str) -> Photo:
    """As :func:`open_photo`, from a file or an open stream; errors call it ``name``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                return _decode(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        msg = f"{name}: not a picture, whatever its name says; remove or rename it"
        raise UnreadableImage(msg) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"{name}: more than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down first"
        raise UnreadableImage(msg) from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything: struct.error, TypeError, AttributeError
        msg = f"{name}: damaged, cut short or of an unknown kind ({error}); get a complete copy or convert it to PNG"
        raise UnreadableImage(msg) from error


def _decode(image: Image.Image) -> Photo:
    exif = image.getexif()
    notes = exif.tobytes() if len(exif) else None  # Pillow writes no thumbnail
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("F", "I", "LAB", "HSV", "YCbCr"):
        msg = f"colour mode {image.mode}"
        raise ValueError(msg)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        full = image.convert("RGBA")
        return Photo(np.asarray(full.convert("RGB")), np.asarray(full.getchannel("A")), profile, notes)
    return Photo(np.asarray(image.convert("RGB")), None, profile, notes)


def to_levels(images: Tensor) -> Tensor:
    """Grey levels 0 to 255, uint8, from values in [0, 1]: rounded to the nearest, as a saved file holds them."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def without_metadata(photo: Photo) -> Photo:
    """The picture alone, its colours brought to sRGB, which viewers assume where no profile says otherwise."""
    rgb = photo.rgb
    if photo.icc is not None:
        own, common = ImageCms.ImageCmsProfile(io.BytesIO(photo.icc)), ImageCms.createProfile("sRGB")
        rgb = np.asarray(ImageCms.profileToProfile(Image.fromarray(rgb), own, common))
    return Photo(rgb, photo.alpha)


def encode_photo(photo: Photo, kind: Literal["png", "jpeg"] = "png", quality: int = 95) -> bytes:
    """The bytes of a picture file: PNG, which is lossless, or JPEG with full colour resolution.

    Raises:
        ValueError: If a picture with transparency is to be JPEG.
    """
    if kind == "jpeg" and photo.alpha is not None:
        msg = "it has transparency, which JPEG cannot hold; use png"
        raise ValueError(msg)
    image = Image.fromarray(photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha]))
    buffer = io.BytesIO()
    if kind == "jpeg":
        image.save(buffer, format="JPEG", quality=quality, subsampling=0, icc_profile=photo.icc, exif=photo.exif or b"")
    else:
        image.save(buffer, format="PNG", compress_level=4, icc_profile=photo.icc, exif=photo.exif)
    return buffer.getvalue()


def encode_as(rgb: NDArray[np.uint8], codec: str, quality: int | None = None, chroma: str | None = None) -> bytes:
    """The bytes of a picture file as another one was coded, so that the file itself tells nothing.

    Args:
        rgb: (H, W, 3).
        codec: jpg, png, webp, bmp or tif.
        quality: Of jpg and webp; 95 if None.
        chroma: Of jpg: 4:4:4, 4:2:2 or 4:2:0, which is meant by None.
    """
    options: dict[str, Any] = {}
    if codec in ("jpg", "webp"):
        options["quality"] = quality or 95
    if codec == "jpg":
        options["subsampling"] = chroma or "4:2:0"
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format={"jpg": "JPEG", "tif": "TIFF"}.get(codec, codec.upper()), **options)
    return buffer.getvalue()


def levels_within(changed: Tensor, original: Tensor, budget: float) -> Tensor:
    """Grey levels of changed pictures, none further than ``budget`` from the original's; any equal shapes, uint8."""
    before, bound = to_levels(original).short(), int(budget)
    return to_levels(changed).short().clamp(before - bound, before + bound).byte()


def save_png(photo: Photo, target: Path) -> None:
    """Save losslessly as PNG; see :func:`write_bytes`."""
    write_bytes(target, encode_photo(photo))


def find_pictures(root: Path, also: frozenset[str] = frozenset()) -> tuple[list[Path], list[Path]]:
    """Files below a folder, sorted: those whose names say they are pictures, supported or not, and the others.

    Args:
        root: The folder.
        also: Further endings that count as pictures.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no pictures.
    """
    if not root.is_dir():
        msg = f"{root}: no such folder"
        raise FileNotFoundError(msg)
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    wanted = SUFFIXES | UNSUPPORTED | also
    pictures = [path for path in files if path.suffix.lower() in wanted]
    if not pictures:
        msg = f"{root}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}"
        raise FileNotFoundError(msg)
    return pictures, [path for path in files if path.suffix.lower() not in wanted]

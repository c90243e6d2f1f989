"""Opening and saving image files.

Nothing else decodes them, but for the plain PNG files of :mod:`images.png`. The formats are PNG,
JPEG, WebP, TIFF and BMP, told by content. One file is one image.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from engine.files import write_bytes
from images.colors import Pixels, read_colors, to_srgb
from images.containers import Source, open_source, strip_damaged_metadata
from images.formats import SUFFIXES, UNSUPPORTED, unsupported_reason
from images.frames import refuse_frames
from images.kinds import DAMAGED, UnreadableImage
from images.metadata import Metadata, read_metadata
from images.photo import Photo
from images.pillow import open_image
from images.saving import Kind, jpeg_options, png_options, unsaved_metadata_in

if TYPE_CHECKING:
    from torch import Tensor

CONVERT = "convert it to PNG, JPEG, WebP or TIFF first"

REASONS: dict[type[Exception], str] = {
    MemoryError: "not enough memory",
    UnidentifiedImageError: "its header makes no sense",
}
"""What to say instead of an error's own words."""

MAX_JPEG_SIDE = 65500
"""Longest side of a JPEG that libjpeg writes."""

VALUES_AT_ONCE = 1 << 24
"""Values that are rounded at a time, so that a large image is not in memory ten times."""

MAX_REPAIRED = 1 << 30
"""Largest file whose damaged notes are cut out, in bytes: it is read into memory for that."""

TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""What makes an image upright, by its EXIF orientation."""


def open_photo(path: Path) -> Photo:
    """Decode an image file, upright as its EXIF orientation says.

    Raises:
        UnreadableImage: If it cannot be decoded; the message names the file and the reason.
    """
    if trouble := unsupported_reason(path.name):
        msg = f"{path}: {trouble}"
        raise UnreadableImage(msg)
    return decode_photo(path, str(path))


def decode_photo(source: Source, name: str = "the image") -> Photo:
    """Decode an image, told by its content and not by its name.

    Damaged notes are no reason to fail: they are dropped, which the result's ``notes`` say.

    Args:
        source: The file, its bytes or a stream.
        name: What messages call it.

    Raises:
        UnreadableImage: If it is none of the formats that are read, damaged, cut short, of several
            frames, or too large.
    """
    try:
        return _decode(source, name)
    except UnreadableImage:
        raise
    except Exception as error:  # a damaged file makes decoders raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            msg = f"{name}: {error.strerror}"
            raise UnreadableImage(msg) from error
        photo = _repaired(source, name)
        if photo is not None:
            return photo
        reason = REASONS.get(type(error), str(error))
        msg = f"{name}: {DAMAGED} ({reason}); get a complete copy or convert it to PNG"
        raise UnreadableImage(msg) from error


def _decode(source: Source, name: str) -> Photo:
    notes: list[str] = []
    with open_source(source) as stream, open_image(stream, name, notes) as image:
        refuse_frames(image, name, notes)
        image.load()
        metadata, orientation = read_metadata(image, notes)
        rgb, alpha, icc = read_colors(image, stream, notes)
    turn = TURNS.get(orientation)
    if turn is not None:
        rgb = np.ascontiguousarray(turn(rgb))
        alpha = None if alpha is None else np.ascontiguousarray(turn(alpha))
    return Photo(rgb, alpha, icc, metadata, tuple(notes))


def _repaired(source: Source, name: str) -> Photo | None:
    """The image decoded without its damaged notes, if that helps."""
    with open_source(source) as stream:
        content = stream.read(MAX_REPAIRED + 1)
    for repaired in strip_damaged_metadata(content) if len(content) <= MAX_REPAIRED else ():
        try:
            photo = _decode(repaired, name)
        except UnreadableImage:
            raise
        except Exception:  # the first reason is the one to tell
            continue
        notes = (
            *photo.notes,
            "damaged notes in the file (EXIF, texts or colour profile) were dropped",
        )
        return Photo(photo.rgb, photo.alpha, photo.icc, photo.metadata, notes)
    return None


def to_uint8(images: Tensor) -> Tensor:
    """Round values in [0, 1] to grey levels 0 to 255, uint8, as a saved file holds them."""
    import torch

    return images.clamp(0, 1).mul_(255).round_().to(torch.uint8)


def clamp_to_budget(changed: Tensor, original: Tensor, budget: float) -> Tensor:
    """Grey levels of changed images, none further than ``budget`` from the original's.

    Args:
        changed: (..., H, W) in [0, 1].
        original: Of the same shape, in [0, 1], or in grey levels if uint8.
        budget: The bound in grey levels; what is behind the point does not count.

    Returns:
        The same shape, uint8.
    """
    import torch

    result, bound = torch.empty_like(changed, dtype=torch.uint8), int(budget)
    height = changed.shape[-2]
    step = max(1, VALUES_AT_ONCE * height // max(1, changed.numel()))
    for top in range(0, height, step):
        rows = (..., slice(top, top + step), slice(None))
        before = original[rows] if original.dtype == torch.uint8 else to_uint8(original[rows])
        before = before.short()
        after = to_uint8(changed[rows]).short()
        result[rows] = after.clamp_(before - bound, before + bound).byte()
    return result


def without_metadata(photo: Photo) -> Photo:
    """Keep the image alone, its colours brought to sRGB, which viewers assume without a profile.

    Marks stay, since jobs ask them whether the image was protected already.
    """
    rgb = photo.rgb if photo.icc is None else to_srgb(photo.rgb, photo.icc)
    return Photo(rgb, photo.alpha, metadata=Metadata(marks=photo.metadata.marks), notes=photo.notes)


def encode_photo(photo: Photo, kind: Kind = "png", quality: int = 95) -> bytes:
    """Write an image file with metadata and marks; :func:`unsaved_metadata` says what it cannot hold.

    Args:
        photo: The image.
        kind: ``png``, which is lossless, or ``jpeg`` with full colour resolution.
        quality: Of a JPEG.

    Raises:
        ValueError: If an image with transparency, or one that is too large, is to be JPEG.
    """
    if kind == "jpeg" and photo.alpha is not None:
        msg = "it has transparency, which JPEG cannot hold; use png"
        raise ValueError(msg)
    if kind == "jpeg" and max(photo.rgb.shape) > MAX_JPEG_SIDE:
        msg = f"it is longer than {MAX_JPEG_SIDE} pixels, which is all that JPEG can hold; use png"
        raise ValueError(msg)
    pixels = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    options: dict[str, Any] = {"icc_profile": photo.icc}
    if kind == "jpeg":
        options |= {"quality": quality, "subsampling": 0} | jpeg_options(photo.metadata)
    else:
        options |= {"compress_level": 4} | png_options(photo.metadata)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind.upper(), **options)
    return buffer.getvalue()


def unsaved_metadata(photo: Photo, kind: Kind) -> tuple[str, ...]:
    """Say what :func:`encode_photo` leaves out of a file of a kind, which has no room for it."""
    return unsaved_metadata_in(photo.metadata, kind)


def encode_as(
    rgb: NDArray[np.uint8],
    codec: str,
    quality: int | None = None,
    chroma: str | None = None,
    exif: bytes | None = None,
) -> bytes:
    """Write an image file as another one was coded, so that the file itself tells nothing.

    Args:
        rgb: (H, W, 3).
        codec: jpg, png, webp, bmp or tif.
        quality: Of jpg and webp; 95 if None.
        chroma: Of jpg: 4:4:4, 4:2:2 or 4:2:0, which is meant by None.
        exif: Camera notes to save with it; a bmp has none.
    """
    options: dict[str, Any] = {}
    if codec in ("jpg", "webp"):
        options["quality"] = quality or 95
    if codec == "jpg":
        options["subsampling"] = chroma or "4:2:0"
    if exif and codec != "bmp":
        options["exif"] = exif
    buffer = io.BytesIO()
    format_ = {"jpg": "JPEG", "tif": "TIFF"}.get(codec, codec.upper())
    Image.fromarray(rgb).save(buffer, format=format_, **options)
    return buffer.getvalue()


def save_png(photo: Photo, target: Path) -> None:
    """Save losslessly as PNG; see :func:`write_bytes`."""
    write_bytes(target, encode_photo(photo))


def list_images(root: Path, also: frozenset[str] = frozenset()) -> tuple[list[Path], list[Path]]:
    """List files below a folder, sorted: images by their names, read or not, and the others.

    Args:
        root: The folder.
        also: Further endings that count as images.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no images.
    """
    if not root.is_dir():
        msg = f"{root}: no such folder"
        raise FileNotFoundError(msg)
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    wanted = SUFFIXES | UNSUPPORTED | also
    pictures = [path for path in sorted(files) if path.suffix.lower() in wanted]
    if not pictures:
        msg = f"{root}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}"
        raise FileNotFoundError(msg)
    return pictures, [path for path in sorted(files) if path.suffix.lower() not in wanted]

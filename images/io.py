"""Decoding and encoding of image files.

This is the only decoder beside :mod:`images.png`. Formats are PNG, JPEG, WebP, TIFF, BMP, GIF and
AVIF, and HEIC with an optional library, recognized by content. One file holds one image; of a GIF,
the first frame is read.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from engine.files import write_bytes
from images.archives import is_hidden, walk_folder
from images.colors import Pixels, read_colors, to_srgb
from images.containers import Source, open_source, strip_damaged_metadata
from images.formats import SUFFIXES, has_image_suffix, unsupported_reason
from images.frames import refuse_frames
from images.kinds import DAMAGED, UnreadableImage
from images.metadata import Metadata, read_metadata
from images.photo import Photo
from images.pillow import open_image
from images.saving import Kind, jpeg_options, png_options, unsaved_metadata_in

if TYPE_CHECKING:
    from torch import Tensor

    from images.transforms.protocol import RGBImage

ERROR_REASONS: dict[type[Exception], str] = {
    MemoryError: "not enough memory",
    UnidentifiedImageError: "its header is invalid",
}
"""Descriptions that replace the messages of errors."""

MAX_JPEG_SIDE = 65500
"""Longest side of a JPEG in libjpeg, in pixels."""

VALUES_AT_ONCE = 1 << 24
"""Values rounded at a time; bounds the memory for large images."""

MAX_REPAIR_BYTES = 1 << 30
"""Size limit of files whose damaged metadata is removed; they are read into memory."""

ENCODED = ("jpg", "png", "webp", "bmp", "tif")
"""Codecs that :func:`encode_as` writes."""

UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""Transformation to upright, by EXIF orientation."""


def open_photo(path: Path) -> Photo:
    """Decode an image file and apply its EXIF orientation.

    Raises:
        UnreadableImage: If the file cannot be decoded; the message names file and reason.
    """
    if trouble := unsupported_reason(path.name):
        msg = f"{path}: {trouble}"
        raise UnreadableImage(msg)
    return decode_photo(path, str(path))


def decode_photo(source: Source, name: str = "the image") -> Photo:
    """Decode an image in the format of its content.

    Damaged metadata is dropped and reported in ``notes`` of the result.

    Args:
        source: File, bytes or stream.
        name: Name of the image in error messages.

    Raises:
        UnreadableImage: If the image is of an unsupported format, damaged, truncated, too large, or
            has several frames.
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
        reason = ERROR_REASONS.get(type(error), str(error))
        msg = f"{name}: {DAMAGED} ({reason}); get a complete copy or convert it to PNG"
        raise UnreadableImage(msg) from error


def _decode(source: Source, name: str) -> Photo:
    notes: list[str] = []
    with open_source(source) as stream, open_image(stream, name, notes) as image:
        refuse_frames(image, name, notes)
        image.load()
        return read_photo(image, stream, notes)


def read_photo(image: Image.Image, stream: BinaryIO, notes: list[str]) -> Photo:
    """Convert a loaded Pillow image, upright.

    Args:
        image: Loaded image; its ``info`` may be changed.
        stream: Its file; empty for an image without a file.
        notes: Messages so far.
    """
    metadata, orientation = read_metadata(image, notes)
    rgb, alpha, icc = read_colors(image, stream, notes)
    upright = UPRIGHT.get(orientation)
    if upright is not None:
        rgb = np.ascontiguousarray(upright(rgb))
        alpha = None if alpha is None else np.ascontiguousarray(upright(alpha))
    return Photo(rgb, alpha, icc, metadata, tuple(notes))


def _repaired(source: Source, name: str) -> Photo | None:
    """Decode an image without its damaged metadata; None if that fails."""
    with open_source(source) as stream:
        content = stream.read(MAX_REPAIR_BYTES + 1)
    for repaired in strip_damaged_metadata(content) if len(content) <= MAX_REPAIR_BYTES else ():
        try:
            photo = _decode(repaired, name)
        except UnreadableImage:
            raise
        except Exception:  # the first error is reported
            continue
        notes = (
            *photo.notes,
            "damaged metadata in the file (EXIF, texts or color profile) was dropped",
        )
        return Photo(photo.rgb, photo.alpha, photo.icc, photo.metadata, notes)
    return None


def to_uint8(images: Tensor) -> Tensor:
    """Round values in [0, 1] to uint8, 0 to 255, as in a saved file."""
    import torch

    return images.clamp(0, 1).mul_(255).round_().to(torch.uint8)


def to_rgb(image: Tensor) -> RGBImage:
    """Convert an image, (3, H, W) uint8 or in [0, 1], to (H, W, 3) uint8."""
    import torch

    image_u8 = image if image.dtype == torch.uint8 else to_uint8(image)
    return image_u8.permute(1, 2, 0).contiguous().cpu().numpy()


def clamp_to_budget(changed: Tensor, original: Tensor, budget: float) -> Tensor:
    """Round changed images to uint8 within a budget around the original.

    Args:
        changed: (..., H, W) in [0, 1].
        original: Same shape, floating point in [0, 1] or uint8.
        budget: L-infinity bound in gray levels of 255, rounded down.

    Returns:
        Same shape, uint8.
    """
    import torch

    result = torch.empty_like(changed, dtype=torch.uint8)
    bound = int(budget)
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
    """Drop the metadata and convert the colors to sRGB.

    Viewers assume sRGB for images without a profile. Marks are kept, because jobs use them to
    refuse images that are protected already.
    """
    rgb = photo.rgb if photo.icc is None else to_srgb(photo.rgb, photo.icc)
    return Photo(rgb, photo.alpha, metadata=Metadata(marks=photo.metadata.marks), notes=photo.notes)


def encode_photo(photo: Photo, kind: Kind = "png", quality: int = 95) -> bytes:
    """Encode an image with its metadata and marks.

    :func:`unsaved_metadata` lists the metadata that does not fit.

    Args:
        photo: The image.
        kind: ``png``, which is lossless, or ``jpeg`` without chroma subsampling.
        quality: JPEG quality, 1 to 100.

    Raises:
        ValueError: If a JPEG would have transparency or a side above 65,500 pixels.
    """
    # Refuse images that JPEG cannot hold.
    if kind == "jpeg" and photo.alpha is not None:
        msg = "it has transparency, which JPEG cannot hold; use png"
        raise ValueError(msg)
    if kind == "jpeg" and max(photo.rgb.shape) > MAX_JPEG_SIDE:
        msg = f"a side is longer than {MAX_JPEG_SIDE} pixels, the limit of JPEG; use png"
        raise ValueError(msg)
    # Encode pixels and metadata.
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
    """Describe the metadata that :func:`encode_photo` drops for a file format."""
    return unsaved_metadata_in(photo.metadata, kind)


def encode_as(
    rgb: NDArray[np.uint8],
    codec: str,
    quality: int | None = None,
    chroma: str | None = None,
    exif: bytes | None = None,
    grayscale: bool = False,
) -> bytes:
    """Encode an image with the encoding parameters of another file.

    Equal parameters keep the file itself from telling images apart.

    Args:
        rgb: (H, W, 3) uint8.
        codec: One of :data:`ENCODED`.
        quality: Quality of jpg and webp, 1 to 100; 95 if None.
        chroma: Subsampling of jpg: 4:4:4, 4:2:2 or 4:2:0; 4:2:0 if None.
        exif: EXIF metadata to save; ignored for bmp.
        grayscale: Encode the luma alone, without colors.

    Returns:
        The encoded file.
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
    image = Image.fromarray(rgb)
    if grayscale:
        image = image.convert("L")
        options.pop("subsampling", None)
    image.save(buffer, format=format_, **options)
    return buffer.getvalue()


def save_png(photo: Photo, target: Path) -> None:
    """Save an image as PNG, atomically."""
    write_bytes(target, encode_photo(photo))


def list_images(root: Path) -> tuple[list[Path], list[Path]]:
    """List the files below a folder, split by name into images and others.

    Links to folders are followed. Hidden files and folders are left out, as in
    :func:`images.inputs.find_images`.

    Args:
        root: The folder.

    Returns:
        Image files, supported or not, and everything else; both sorted.

    Raises:
        FileNotFoundError: If the folder does not exist or has no images.
        ValueError: If a file is a link to nothing, or a file or sub-folder cannot be read.
    """
    if not root.is_dir():
        msg = f"{root}: no such folder"
        raise FileNotFoundError(msg)
    images: list[Path] = []
    others: list[Path] = []
    for member in walk_folder(root, follow_links=True):
        path = root / member.name
        if member.fault:
            msg = f"{path}: {member.fault}"
            raise ValueError(msg)
        if not is_hidden(member.name):
            is_image = has_image_suffix(member.name) and not member.skip
            (images if is_image else others).append(path)
    if not images:
        msg = f"{root}: no images in this folder; looked for {', '.join(sorted(SUFFIXES))}"
        raise FileNotFoundError(msg)
    return images, others

"""Pillow, restricted to supported formats and sizes, with warnings captured."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

# imported here, so that Pillow loads no other decoder
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from images.containers import Source, open_source
from images.kinds import MAX_PIXELS, UnreadableImage, header_size, image_codec, refuse_large

CODECS = {
    PngImagePlugin.PngImageFile.format: "png",
    JpegImagePlugin.JpegImageFile.format: "jpg",
    MpoImagePlugin.MpoImageFile.format: "jpg",
    WebPImagePlugin.WebPImageFile.format: "webp",
    TiffImagePlugin.TiffImageFile.format: "tif",
    BmpImagePlugin.BmpImageFile.format: "bmp",
    GifImagePlugin.GifImageFile.format: "gif",
    AvifImagePlugin.AvifImageFile.format: "avif",
    "HEIF": "heic",
}
"""Codec by Pillow's name of the format."""

FORMATS = tuple(
    format_ for format_ in CODECS if format_ not in (MpoImagePlugin.MpoImageFile.format, "HEIF")
)
"""Formats that Pillow may try; it recognizes MPO while opening a JPEG."""

INSTALL_HEIC = "pip install -r requirements-heic.txt"
"""Command that installs the decoder of HEIC."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's default is below a phone's 108 megapixels
logging.getLogger("PIL").addHandler(logging.NullHandler())  # errors are raised as well
with contextlib.suppress(OSError, AttributeError):  # if the library is accessible
    _codecs = ctypes.CDLL(Image.core.__file__)
    for _name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        getattr(_codecs, _name)(None)  # libtiff repeats Pillow's errors on stderr


@contextmanager
def open_image(source: Source, name: str, notes: list[str]) -> Iterator[Image.Image]:
    """Open an image file without decoding it.

    Args:
        source: File, bytes or stream.
        name: Name of the image in error messages.
        notes: Receives Pillow's warnings until the end of the block.

    Yields:
        Pillow's image, closed at the end of the block.

    Raises:
        UnreadableImage: If the format is unsupported or the image is too large.
        OSError: If the file does not exist. Damaged files make Pillow raise nearly anything.
    """
    with open_source(source) as stream, _warnings_in(notes):
        refuse_large(*header_size(stream, name), name)
        formats = _heic_formats(name) if image_codec(stream, name) == "heic" else FORMATS
        stream.seek(0)
        with Image.open(stream, formats=formats) as image:
            refuse_large(*image.size, name)
            yield image


def _heic_formats(name: str) -> tuple[str, ...]:
    """Load the decoder of HEIC, an optional library, and return its format.

    Raises:
        UnreadableImage: If it is not installed.
    """
    if not _has_heic():
        msg = f"{name}: a HEIC image; reading it needs pillow-heif: {INSTALL_HEIC}"
        raise UnreadableImage(msg)
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


def needs_heic(content: bytes) -> bool:
    """Check whether a file is a HEIC image and its decoder is not installed."""
    try:
        return image_codec(content) == "heic" and not _has_heic()
    except UnreadableImage:
        return False


def _has_heic() -> bool:
    return find_spec("pillow_heif") is not None


class _Collector(threading.local):
    """Receiver of a thread's warnings while it has an image open."""

    notes: list[str] | None = None


_collector = _Collector()
_lock = threading.Lock()
_open_count = 0
_saved: tuple[warnings.catch_warnings[None], Callable[..., Any]] | None = None


@contextmanager
def _warnings_in(notes: list[str]) -> Iterator[None]:
    """Collect Pillow's warnings of this thread as notes.

    ``warnings.catch_warnings`` alone would affect all threads.
    """
    global _open_count, _saved
    # Install the collector with the first open image.
    with _lock:
        if _open_count == 0:
            catcher = warnings.catch_warnings()
            catcher.__enter__()
            _saved = (catcher, warnings.showwarning)
            warnings.filterwarnings("always", module=r"PIL\b")
            warnings.showwarning = _show
        _open_count += 1
    # Redirect this thread's warnings.
    outer = _collector.notes
    _collector.notes = notes
    try:
        yield
    finally:
        # Restore the state before, with the last open image for all threads.
        _collector.notes = outer
        with _lock:
            _open_count -= 1
            if _open_count == 0 and _saved is not None:
                _saved[0].__exit__(None, None, None)
                _saved = None


def _show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    if _collector.notes is not None:
        note = f"the decoder warned: {' '.join(str(message).split())}"
        if note not in _collector.notes:
            _collector.notes.append(note)
    elif _saved is not None:
        _saved[1](message, *args, **kwargs)

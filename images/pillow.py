"""Pillow, restricted to supported formats and sizes, with warnings captured."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# imported here, so that Pillow loads no other decoder
from PIL import (
    BmpImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from images.containers import Source, open_source
from images.kinds import MAX_PIXELS, header_size, refuse_large

CODECS = {
    PngImagePlugin.PngImageFile.format: "png",
    JpegImagePlugin.JpegImageFile.format: "jpg",
    MpoImagePlugin.MpoImageFile.format: "jpg",
    WebPImagePlugin.WebPImageFile.format: "webp",
    TiffImagePlugin.TiffImageFile.format: "tif",
    BmpImagePlugin.BmpImageFile.format: "bmp",
}
"""Codec by Pillow's name of the format."""

FORMATS = tuple(format_ for format_ in CODECS if format_ != MpoImagePlugin.MpoImageFile.format)
"""Formats that Pillow may try; it recognizes MPO while opening a JPEG."""

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
        stream.seek(0)
        with Image.open(stream, formats=FORMATS) as image:
            refuse_large(*image.size, name)
            yield image


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

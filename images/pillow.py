"""Pillow, asked for the promised formats only, with its bounds and its warnings in our hands."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# imported here so that Pillow, asked for these formats, loads no other decoder
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
"""Pillow's names of the formats that are read, and the file ending of each."""

FORMATS = tuple(format_ for format_ in CODECS if format_ != MpoImagePlugin.MpoImageFile.format)
"""Formats that Pillow may try; a JPEG turns out to be MPO when it is open."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own bound is below a phone's 108 megapixels
logging.getLogger("PIL").addHandler(logging.NullHandler())  # it raises, too, and says nothing more
with contextlib.suppress(OSError, AttributeError):  # where the library can be reached
    _codecs = ctypes.CDLL(Image.core.__file__)
    for _name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        getattr(_codecs, _name)(None)  # libtiff writes to stderr what Pillow raises


@contextmanager
def open_image(source: Source, name: str, notes: list[str]) -> Iterator[Image.Image]:
    """Open an image file without decoding it yet.

    Args:
        source: The file, its bytes or a stream.
        name: What messages call it.
        notes: Takes Pillow's warnings until the end of the block.

    Yields:
        Pillow's image; it is closed at the end of the block.

    Raises:
        UnreadableImage: If it is of a kind that is not read, or too large.
        OSError: If there is no such file. A damaged one makes Pillow raise nearly anything.
    """
    with open_source(source) as stream, _warnings_in(notes):
        refuse_large(*header_size(stream, name), name)
        stream.seek(0)
        with Image.open(stream, formats=FORMATS) as image:
            refuse_large(*image.size, name)
            yield image


class _Collector(threading.local):
    """Where a thread's warnings go while it has an image open."""

    notes: list[str] | None = None


_collector = _Collector()
_lock = threading.Lock()
_open = 0
_before: tuple[warnings.catch_warnings[None], Callable[..., Any]] | None = None


@contextmanager
def _warnings_in(notes: list[str]) -> Iterator[None]:
    """Turn Pillow's warnings into notes, of this thread only.

    ``warnings.catch_warnings`` alone is no good with threads: it changes what all of them do.
    """
    global _open, _before
    with _lock:
        if _open == 0:
            catcher = warnings.catch_warnings()
            catcher.__enter__()
            _before = (catcher, warnings.showwarning)
            warnings.filterwarnings("always", module=r"PIL\b")
            warnings.showwarning = _show
        _open += 1
    outer, _collector.notes = _collector.notes, notes
    try:
        yield
    finally:
        _collector.notes = outer
        with _lock:
            _open -= 1
            if _open == 0 and _before is not None:
                _before[0].__exit__(None, None, None)
                _before = None


def _show(message: Warning | str, *place: Any, **more: Any) -> None:
    if _collector.notes is not None:
        note = f"its decoder warned: {' '.join(str(message).split())}"
        if note not in _collector.notes:
            _collector.notes.append(note)
    elif _before is not None:
        _before[1](message, *place, **more)

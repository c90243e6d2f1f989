"""Images inside a page: ``data:`` URLs of files, arrays and matplotlib figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = 96
"""Rows that an image on a page has at least, or else it is doubled."""


def data_url(content: bytes, kind: str) -> str:
    """The URL of an image file's bytes; ``kind`` is png, jpeg or svg+xml."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def image_url(
    rgb: NDArray[np.uint8], side: int | None = None, kind: Literal["png", "jpeg"] = "png"
) -> str:
    """The URL of an image; one of less than 96 rows is doubled.

    Args:
        rgb: (H, W, 3).
        side: Pixels of its longer side at most; None for its own size.
        kind: PNG is lossless, JPEG small.
    """
    image = Image.fromarray(rgb)
    if side is not None:
        image.thumbnail((side, side))
    if image.height < SMALL:
        image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    options = {"optimize": True} if kind == "png" else {"quality": 85}
    image.save(buffer, format=kind.upper(), **options)
    return data_url(buffer.getvalue(), kind)


def strip_url(images: Sequence[NDArray[np.uint8]]) -> str:
    """The URL of images of one height, (H, W, 3), side by side as a PNG."""
    return image_url(np.hstack(list(images)))


def figure_url(figure: Figure) -> str:
    """The URL of a matplotlib figure as SVG, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "page"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_url(buffer.getvalue(), "svg+xml")

"""Traits of an image file: how it was encoded, and what it holds beside the pixels."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

from images.containers import jpeg_segments, png_chunks
from images.headers import read_header
from images.pillow import open_image


def file_traits(content: bytes) -> dict[str, str]:
    """Describe an encoded image by its traits, each a text; empty if it is unreadable.

    The image's size is not among them.
    """
    header = read_header(content)
    if header is None:
        return {}
    traits = {"codec": header.codec, "EXIF": "yes" if header.exif else "no"}
    if header.codec == "jpg":
        traits["JPEG quality"] = str(header.jpeg_quality)
        traits["chroma subsampling"] = str(header.chroma)
    try:
        with open_image(content, "", []) as image:
            traits |= _pillow_traits(image)
            traits["parts of the file"] = _parts(content, header.codec)
    except Exception:  # a damaged header makes Pillow raise nearly anything
        return {}
    return traits


def _pillow_traits(image: Image.Image) -> dict[str, str]:
    """Read color mode, profile, resolution and the order of coding."""
    profile = image.info.get("icc_profile")
    progressive = image.info.get("progressive") or image.info.get("interlace")
    resolution = image.info.get("dpi")
    return {
        "color mode": image.mode,
        "color profile": hashlib.sha256(profile).hexdigest()[:8] if profile else "none",
        "coding": "progressive" if progressive else "sequential",
        "resolution": "none" if resolution is None else " x ".join(f"{v:g}" for v in resolution),
    }


def _parts(content: bytes, codec: str) -> str:
    """List the kinds of segments or chunks, in order."""
    if codec == "jpg":
        markers = [marker for marker, _, _ in jpeg_segments(io.BytesIO(content))]
        return " ".join(dict.fromkeys(f"{marker:02X}" for marker in markers))
    if codec == "png":
        kinds = [kind.decode("ascii", "replace") for kind, _, _ in png_chunks(io.BytesIO(content))]
        return " ".join(dict.fromkeys(kinds))
    return ""

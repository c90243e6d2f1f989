"""Encoding of metadata for PNG and JPEG files."""

from __future__ import annotations

import re
import struct
from typing import Any, Literal

from PIL import ExifTags, Image, PngImagePlugin

from images.containers import COMMENT
from images.marks import KEY, marks_text
from images.metadata import IPTC_BLOCK, IPTC_TEXT, XMP_TEXT, Metadata

Kind = Literal["png", "jpeg"]

MAX_SEGMENT_BYTES = 65533
"""Size limit of a JPEG segment."""

EXIF_TAGS = {"Copyright": ExifTags.Base.Copyright, "Author": ExifTags.Base.Artist}
"""EXIF tags by keyword of a PNG text."""


def png_options(metadata: Metadata) -> dict[str, Any]:
    """Build Pillow's options that save metadata in a PNG file."""
    # Collect texts, marks, XMP and IPTC as text chunks.
    info = PngImagePlugin.PngInfo()
    for keyword, text in metadata.texts.items():
        info.add_text(keyword, text)
    if metadata.marks:
        info.add_itxt(KEY, marks_text(metadata.marks))
    if metadata.xmp is not None:
        info.add_itxt(XMP_TEXT, metadata.xmp)
    if metadata.iptc is not None:
        block = _image_resource(metadata.iptc)
        lines = re.findall(".{1,72}", block.hex())
        info.add_text(IPTC_TEXT, f"\niptc\n{len(block):8}\n" + "\n".join(lines) + "\n", zip=True)
    # Set only the options in use.
    options: dict[str, Any] = {"exif": metadata.exif}
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    if info.chunks:
        options["pnginfo"] = info
    return options


def jpeg_options(metadata: Metadata) -> dict[str, Any]:
    """Build Pillow's options that save metadata in a JPEG file.

    Entries above :data:`MAX_SEGMENT_BYTES` are left out.
    """
    exif = _with_texts(metadata.exif, metadata.texts)
    options: dict[str, Any] = {"exif": exif if len(exif) <= MAX_SEGMENT_BYTES else b""}
    # Append marks, IPTC and texts as segments.
    extra = b""
    if metadata.marks:
        extra += _segment(COMMENT, f"{KEY} {marks_text(metadata.marks)}".encode())
    if metadata.iptc is not None:
        extra += _segment(0xED, b"Photoshop 3.0\0" + _image_resource(metadata.iptc))
    for keyword, text in metadata.texts.items():
        extra += _segment(COMMENT, _comment(keyword, text))
    if extra:
        options["extra"] = extra
    if metadata.xmp is not None and len(metadata.xmp) + 29 <= MAX_SEGMENT_BYTES:
        options["xmp"] = metadata.xmp
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    return options


def unsaved_metadata_in(metadata: Metadata, kind: Kind) -> tuple[str, ...]:
    """Describe the metadata that does not fit into a file format."""
    if kind == "png":
        return ()
    sizes = {
        "EXIF": len(_with_texts(metadata.exif, metadata.texts)),
        "XMP": len(metadata.xmp or b"") + 29,
        "IPTC": len(metadata.iptc or b"") + 28,
    }
    for keyword, text in metadata.texts.items():
        sizes[f"text {keyword}"] = len(_comment(keyword, text))
    too_long = [name for name, size in sizes.items() if size > MAX_SEGMENT_BYTES]
    return tuple(f"its {name} is too long for a JPEG and was dropped" for name in too_long)


def _comment(keyword: str, text: str) -> bytes:
    return (text if keyword == "Comment" else f"{keyword}: {text}").encode("utf-8", "replace")


def _with_texts(exif: bytes | None, texts: dict[str, str]) -> bytes:
    """Add PNG texts to empty EXIF fields."""
    if not texts.keys() & EXIF_TAGS.keys():
        return exif or b""
    fields = Image.Exif()
    fields.load(exif or b"")
    for keyword, tag in EXIF_TAGS.items():
        if keyword in texts and tag not in fields:
            fields[tag] = texts[keyword]
    return fields.tobytes()


def _image_resource(iptc: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", IPTC_BLOCK, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def _segment(marker: int, content: bytes) -> bytes:
    """Encode a JPEG segment; empty if the content is too long."""
    if len(content) > MAX_SEGMENT_BYTES:
        return b""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

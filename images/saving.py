"""Saving metadata in PNG and JPEG files."""

from __future__ import annotations

import re
import struct
from typing import Any, Literal

from PIL import ExifTags, Image, PngImagePlugin

from images.containers import COMMENT
from images.marks import KEY, marks_text
from images.metadata import IPTC_BLOCK, IPTC_TEXT, XMP_TEXT, Metadata

Kind = Literal["png", "jpeg"]

MAX_SEGMENT = 65533
"""Most bytes in one segment of a JPEG."""

AS_EXIF = {"Copyright": ExifTags.Base.Copyright, "Author": ExifTags.Base.Artist}
"""PNG texts that a JPEG has an EXIF field for."""


def png_options(metadata: Metadata) -> dict[str, Any]:
    """Pillow's options to save metadata in a PNG file; only those that are needed."""
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
    options: dict[str, Any] = {"exif": metadata.exif}
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    if info.chunks:
        options["pnginfo"] = info
    return options


def jpeg_options(metadata: Metadata) -> dict[str, Any]:
    """Pillow's options to save metadata in a JPEG file, without what is too long for one."""
    exif = _with_texts(metadata.exif, metadata.texts)
    options: dict[str, Any] = {"exif": exif if len(exif) <= MAX_SEGMENT else b""}
    extra = b""
    if metadata.marks:
        extra += _segment(COMMENT, f"{KEY} {marks_text(metadata.marks)}".encode())
    if metadata.iptc is not None:
        extra += _segment(0xED, b"Photoshop 3.0\0" + _image_resource(metadata.iptc))
    for keyword, text in metadata.texts.items():
        extra += _segment(
            COMMENT,
            (text if keyword == "Comment" else f"{keyword}: {text}").encode("utf-8", "replace"),
        )
    if extra:
        options["extra"] = extra
    if metadata.xmp is not None and len(metadata.xmp) + 29 <= MAX_SEGMENT:
        options["xmp"] = metadata.xmp
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    return options


def unsaved_metadata_in(metadata: Metadata, kind: Kind) -> tuple[str, ...]:
    """Sentences about what a file of a kind cannot hold and what is therefore left out of it."""
    if kind == "png":
        return ()
    sizes = {
        "EXIF": len(_with_texts(metadata.exif, metadata.texts)),
        "XMP": len(metadata.xmp or b"") + 29,
        "IPTC": len(metadata.iptc or b"") + 28,
    }
    for keyword, text in metadata.texts.items():
        sizes[f"text {keyword}"] = len(_comment(keyword, text))
    too_long = [name for name, size in sizes.items() if size > MAX_SEGMENT]
    return tuple(f"its {name} is too long for a JPEG and was dropped" for name in too_long)


def _comment(keyword: str, text: str) -> bytes:
    return (text if keyword == "Comment" else f"{keyword}: {text}").encode("utf-8", "replace")


def _with_texts(exif: bytes | None, texts: dict[str, str]) -> bytes:
    """EXIF with those texts that it has a field for, where the field is empty."""
    if not texts.keys() & AS_EXIF.keys():
        return exif or b""
    notes = Image.Exif()
    notes.load(exif or b"")
    for keyword, tag in AS_EXIF.items():
        if keyword in texts and tag not in notes:
            notes[tag] = texts[keyword]
    return notes.tobytes()


def _image_resource(iptc: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", IPTC_BLOCK, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def _segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG; nothing if the content is too long for one."""
    if len(content) > MAX_SEGMENT:
        return b""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

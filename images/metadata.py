"""Metadata of image files: EXIF, XMP, IPTC, resolution, texts and marks.

Dropped entries are reported. Thumbnails are dropped, because they show the unprotected image.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from images.containers import Source
from images.marks import KEY, Mark, parse_marks
from images.pillow import open_image

IPTC_BLOCK = 0x0404
"""Number of the IPTC block among Photoshop's image resources."""

DESCRIPTIVE = (
    *(
        269,  # document name
        270,  # description
        271,  # camera maker
        272,  # camera model
        305,  # software
        306,  # date
        315,  # artist
        316,  # computer
        33432,  # copyright
    ),
    *(0x4746, 0x4749),  # rating
    *range(0x9C9B, 0x9CA0),  # Windows' title, comment, author, keywords, subject
)
"""TIFF tags that describe the image; they are kept as EXIF."""

STRUCTURAL = frozenset(
    {*range(254, 269), *range(273, 305), *range(317, 348), *range(512, 533)}
    | {
        700,  # XMP
        33723,  # IPTC
        34377,  # Photoshop's image resources
        34665,  # EXIF directory
        34675,  # color profile
        34853,  # GPS directory
    }
)
"""TIFF tags of the file's structure, or with a reader of their own."""

DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
"""Sub-directories of EXIF: camera and GPS."""

XMP_ORIENTATION = rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>'
XMP_TEXT = "XML:com.adobe.xmp"
"""Keyword of XMP in a PNG text."""

IPTC_TEXT = "Raw profile type iptc"
PROFILE_TEXTS = (
    "Raw profile type exif",
    IPTC_TEXT,
    "Raw profile type APP1",
    "Raw profile type 8bim",
    "Raw profile type xmp",
)
"""Keywords of PNG texts with metadata of other kinds."""

EMBEDDED_IMAGES = (b"\xff\xd8\xff", b"/9j/", b"iVBORw0KGgo", b"GImg:image")
"""First bytes of images in metadata: JPEG, base64 JPEG and PNG, XMP thumbnails."""


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image, except its color profile.

    Attributes:
        exif: EXIF block, beginning with ``Exif``. It has no orientation, which is applied, and no
            thumbnails.
        xmp: XMP packet.
        iptc: IPTC records.
        dpi: Horizontal and vertical resolution in pixels per inch.
        texts: Texts by keyword, as in PNG; a JPEG's comment has the keyword ``Comment``.
        marks: Records of earlier changes by this project.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: dict[str, str] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()


def read_marks(source: Source) -> tuple[Mark, ...]:
    """Read the marks of a PNG or JPEG file without decoding it.

    Returns:
        The marks; empty for unreadable files.
    """
    try:
        with open_image(source, "", []) as image:
            return _marks(image, [])
    except Exception:  # decoding the file reports the error
        return ()


def read_metadata(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Read the metadata of a decoded image.

    Args:
        image: Image loaded by Pillow.
        notes: Receives a sentence for each dropped entry.

    Returns:
        The metadata, and the EXIF orientation to apply, 1 to 8.
    """
    exif, orientation = _read_or("EXIF", lambda: _exif(image, notes), (None, 1), notes)
    xmp = _without_images(_read_or("XMP", lambda: _xmp(image), None, notes), "XMP", notes)
    iptc = _without_images(_read_or("IPTC", lambda: _iptc(image), None, notes), "IPTC", notes)
    dpi = _read_or("resolution", lambda: _dpi(image), None, notes)
    _report_dropped(image, notes)
    return Metadata(exif, xmp, iptc, dpi, _texts(image), _marks(image, notes)), orientation


def _read_or(name: str, read: Callable[[], Any], default: Any, notes: list[str]) -> Any:
    """Read an entry; damage gives a default and a note."""
    try:
        return read()
    except Exception:  # damaged metadata makes Pillow raise nearly anything
        notes.append(f"its {name} is damaged and was dropped")
        return default


def _exif(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    # Read the orientation.
    if isinstance(image.info.get("exif"), bytes):
        Image.Exif().load(image.info["exif"])  # raises if it is damaged; the image does only once
    exif = image.getexif()
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    if orientation != 1:
        del exif[ExifTags.Base.Orientation]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        exif = _descriptive(exif, notes)
        orientation = 1  # applied by Pillow
    # Drop embedded images.
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    directories = [exif.get_ifd(tag) for tag in DIRECTORIES if is_tiff or tag in exif]
    for directory in (exif, *directories):
        image_tags = [tag for tag, value in directory.items() if _holds_image(value)]
        for tag in image_tags:
            del directory[tag]
            notes.append(f"its EXIF's {ExifTags.TAGS.get(tag, tag)} holds an image and was dropped")
    empty = not len(exif) and not any(directories)
    orientation = orientation if orientation in range(1, 9) else 1
    return None if empty else exif.tobytes(), orientation


def _descriptive(tags: Image.Exif, notes: list[str]) -> Image.Exif:
    """Keep the descriptive tags of a TIFF file."""
    if others := sorted(set(tags) - STRUCTURAL - set(DESCRIPTIVE)):
        notes.append(f"its TIFF tags {', '.join(map(str, others))} were dropped")
    kept = Image.Exif()
    for tag in DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    for directory in DIRECTORIES:
        if directory in tags:
            kept.get_ifd(directory).update(tags.get_ifd(directory))
    camera = kept.get_ifd(ExifTags.IFD.Exif)
    if ExifTags.IFD.Interop in camera:
        camera[ExifTags.IFD.Interop] = tags.get_ifd(ExifTags.IFD.Interop)
    return kept


def _xmp(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp")
    if isinstance(packet, str):  # a PNG text chunk of that name
        packet = image.info.get(XMP_TEXT, "").encode() or None
    if packet is None:
        return None
    if not isinstance(packet, bytes):
        raise TypeError
    return re.sub(XMP_ORIENTATION, b"", packet)


def _iptc(image: Image.Image) -> bytes | None:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        records = image.tag_v2.get(TiffImagePlugin.IPTC_NAA_CHUNK)
        if isinstance(records, tuple):  # written as 4-byte numbers
            order = "<" if image.tag_v2.prefix == b"II" else ">"
            return struct.pack(f"{order}{len(records)}L", *records)
        block = image.get_photoshop_blocks().get(IPTC_BLOCK)
        return records or (None if block is None else bytes(block["data"]))
    if text := image.info.get(IPTC_TEXT):
        content = bytes.fromhex("".join(text.split("\n")[3:]))
        if not content.startswith(b"8BIM"):
            return content
        number, _, length = struct.unpack_from(">HHI", content, 4)
        return content[12 : 12 + length] if number == IPTC_BLOCK else None
    blocks = image.info.get("photoshop")
    return blocks.get(IPTC_BLOCK) if isinstance(blocks, dict) else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("jfif_unit") not in (
        1,
        2,
    ):
        return None  # Pillow's value is from EXIF or a default
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        dpi = dpi if TiffImagePlugin.X_RESOLUTION in image.tag_v2 else None
    if not isinstance(dpi, tuple):
        return None
    across, down = (float(value) for value in dpi)
    return (across, down) if 1 <= across <= 65535 and 1 <= down <= 65535 else None


def _texts(image: Image.Image) -> dict[str, str]:
    if isinstance(image, PngImagePlugin.PngImageFile):
        excluded = {KEY, XMP_TEXT, "exif", *PROFILE_TEXTS}
        keywords = [word for word in image.text if word not in excluded and 0 < len(word) < 80]
        return {keyword: str(image.text[keyword]) for keyword in keywords}
    comments = [text for text in _comments(image) if not text.startswith(KEY + " ")]
    return {"Comment": "\n".join(comments)} if comments else {}


def _comments(image: Image.Image) -> list[str]:
    """Return the comments of a JPEG."""
    segments = [content for name, content in getattr(image, "applist", []) if name == "COM"]
    texts = []
    for content in segments:
        try:
            texts.append(content.decode())
        except UnicodeDecodeError:
            texts.append(content.decode("latin-1"))
    return [text.rstrip("\0") for text in texts]


def _marks(image: Image.Image, notes: list[str]) -> tuple[Mark, ...]:
    records = [text[len(KEY) :] for text in _comments(image) if text.startswith(KEY + " ")]
    if isinstance(image.info.get(KEY), str):
        records.append(image.info[KEY])
    marks: tuple[Mark, ...] = ()
    for text in records:
        try:
            marks += parse_marks(text)
        except ValueError:
            notes.append("its record of earlier protection is damaged and was dropped")
    return marks


def _report_dropped(image: Image.Image, notes: list[str]) -> None:
    """Report extended XMP and content credentials, which are not kept."""
    segments = getattr(image, "applist", [])
    if any(content.startswith(b"http://ns.adobe.com/xmp/extension/") for _, content in segments):
        notes.append("its extended XMP was dropped")
    private = [chunk[0] for chunk in getattr(image, "private_chunks", [])]
    signed = any(name == "APP11" and b"c2pa" in content for name, content in segments)
    if signed or b"caBX" in private:
        reason = "since they are signed for the unchanged image"
        notes.append(f"its content credentials (C2PA) were dropped, {reason}")


def _without_images(content: bytes | None, name: str, notes: list[str]) -> bytes | None:
    if content is None or not _holds_image(content):
        return content
    notes.append(f"its {name} holds an image and was dropped")
    return None


def _holds_image(content: object) -> bool:
    return isinstance(content, bytes) and any(begin in content for begin in EMBEDDED_IMAGES)

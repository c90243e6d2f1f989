"""Reading what image files say beside the image: EXIF, XMP, IPTC, resolution, texts and marks.

What is dropped is named. Small copies of the image are left out, as they show it unprotected.
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
        269,
        270,
        271,
        272,
        305,
        306,
        315,
        316,
        33432,
    ),  # document, description, camera, program, date, artist, computer, copyright
    *(0x4746, 0x4749),  # rating
    *range(0x9C9B, 0x9CA0),  # Windows' title, comment, author, keywords, subject
)
"""Those tags of a TIFF file that describe the image and not the file: its EXIF."""

STRUCTURAL = frozenset(
    {*range(254, 269), *range(273, 305), *range(317, 348), *range(512, 533)}
    | {
        700,
        33723,
        34377,
        34665,
        34675,
        34853,
    }  # XMP, IPTC, Photoshop's resources, camera, profile, place: read by themselves
)
"""Those tags of a TIFF file that say how it is built, or that are read by themselves."""

DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
"""EXIF's own directories, of the camera and the place."""

XMP_ORIENTATION = rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>'
XMP_TEXT = "XML:com.adobe.xmp"
IPTC_TEXT = "Raw profile type iptc"
PROFILE_TEXTS = (
    "Raw profile type exif",
    IPTC_TEXT,
    "Raw profile type APP1",
    "Raw profile type 8bim",
    "Raw profile type xmp",
)
"""Keywords under which programs store notes of other kinds as PNG texts."""

EMBEDDED = (b"\xff\xd8\xff", b"/9j/", b"iVBORw0KGgo", b"GImg:image")
"""How an image inside other notes begins: JPEG, base64 JPEG and PNG, XMP's thumbnails."""


@dataclass(frozen=True)
class Metadata:
    """What a file says about an image beside its colours.

    Attributes:
        exif: Camera notes, beginning with ``Exif``, without orientation, which is applied, and
            without thumbnails.
        xmp: XMP packet.
        iptc: IPTC records.
        dpi: Pixels an inch, across and down.
        texts: Texts by keyword, as PNG files have; a JPEG's comment has the keyword ``Comment``.
        marks: What this project did to the image already.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: dict[str, str] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()


def read_marks(source: Source) -> tuple[Mark, ...]:
    """Read the marks in a PNG or JPEG file without decoding it; none if it cannot be read."""
    try:
        with open_image(source, "", []) as image:
            return _marks(image, [])
    except Exception:  # whoever decodes the file says what is wrong with it
        return ()


def read_metadata(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Read what a file says about a decoded image.

    Args:
        image: Loaded by Pillow.
        notes: Takes a sentence for everything that is dropped.

    Returns:
        The metadata, and the EXIF orientation that is still to be applied, 1 to 8.
    """
    exif, orientation = _fenced("EXIF", lambda: _exif(image, notes), (None, 1), notes)
    xmp = _without_images(_fenced("XMP", lambda: _xmp(image), None, notes), "XMP", notes)
    iptc = _without_images(_fenced("IPTC", lambda: _iptc(image), None, notes), "IPTC", notes)
    dpi = _fenced("resolution", lambda: _dpi(image), None, notes)
    _name_others(image, notes)
    return Metadata(exif, xmp, iptc, dpi, _texts(image), _marks(image, notes)), orientation


def _fenced(name: str, read: Callable[[], Any], otherwise: Any, notes: list[str]) -> Any:
    """What is read, or something else and a note where it is damaged."""
    try:
        return read()
    except Exception:  # damaged notes make Pillow raise nearly anything
        notes.append(f"its {name} is damaged and was dropped")
        return otherwise


def _exif(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    if isinstance(image.info.get("exif"), bytes):
        Image.Exif().load(image.info["exif"])  # raises if it is damaged; the image does only once
    exif = image.getexif()
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    if orientation != 1:
        del exif[ExifTags.Base.Orientation]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        exif, orientation = _descriptive(exif, notes), 1  # Pillow has turned it
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    directories = [exif.get_ifd(tag) for tag in DIRECTORIES if is_tiff or tag in exif]
    for directory in (exif, *directories):
        for tag in [tag for tag, value in directory.items() if _holds_image(value)]:
            del directory[tag]
            notes.append(f"its EXIF's {ExifTags.TAGS.get(tag, tag)} holds an image and was dropped")
    empty = not len(exif) and not any(directories)
    return None if empty else exif.tobytes(), orientation if orientation in range(1, 9) else 1


def _descriptive(tags: Image.Exif, notes: list[str]) -> Image.Exif:
    """A TIFF file's tags without those that say how the file is built."""
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
    if isinstance(packet, str):  # a PNG's text of that name
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
        return None  # what Pillow says then is EXIF's, or made up
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        dpi = dpi if TiffImagePlugin.X_RESOLUTION in image.tag_v2 else None
    if not isinstance(dpi, tuple):
        return None
    across, down = (float(value) for value in dpi)
    return (across, down) if 1 <= across <= 65535 and 1 <= down <= 65535 else None


def _texts(image: Image.Image) -> dict[str, str]:
    if isinstance(image, PngImagePlugin.PngImageFile):
        left = {KEY, XMP_TEXT, "exif", *PROFILE_TEXTS}
        kept = [keyword for keyword in image.text if keyword not in left and 0 < len(keyword) < 80]
        return {keyword: str(image.text[keyword]) for keyword in kept}
    comments = [text for text in _comments(image) if not text.startswith(KEY + " ")]
    return {"Comment": "\n".join(comments)} if comments else {}


def _comments(image: Image.Image) -> list[str]:
    """A JPEG's comments."""
    segments = [content for name, content in getattr(image, "applist", []) if name == "COM"]
    texts = []
    for content in segments:
        try:
            texts.append(content.decode())
        except UnicodeDecodeError:
            texts.append(content.decode("latin-1"))
    return [text.rstrip("\0") for text in texts]


def _marks(image: Image.Image, notes: list[str]) -> tuple[Mark, ...]:
    found = [text[len(KEY) :] for text in _comments(image) if text.startswith(KEY + " ")]
    if isinstance(image.info.get(KEY), str):
        found.append(image.info[KEY])
    marks: tuple[Mark, ...] = ()
    for text in found:
        try:
            marks += parse_marks(text)
        except ValueError:
            notes.append("its record of earlier protection is damaged and was dropped")
    return marks


def _name_others(image: Image.Image, notes: list[str]) -> None:
    """Name what is kept nowhere."""
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
    return isinstance(content, bytes) and any(begin in content for begin in EMBEDDED)

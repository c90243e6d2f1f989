"""Statements of image files on their origin: credentials, source type, generator, software.

Nothing is fetched. Anyone can write or remove these entries; only a valid signature of content
credentials (C2PA) proves who wrote them. They are facts beside a verdict, and no part of one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from PIL import ExifTags, Image

from engine.records import parse_json
from images.inputs import ImageInput
from images.metadata import Metadata
from images.photo import Photo

CREDENTIALS = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""Start of a C2PA manifest store, which every file format holds as it is."""

REMOTE_CREDENTIALS = b"dcterms:provenance"
"""Property of XMP that names the URL of a manifest store elsewhere."""

MAX_CHECKED_BYTES = 256 << 20
"""Size limit of files in which credentials are looked for."""

MAX_STORE_BYTES = 4 << 20
"""Bytes of a manifest store that are searched without its library."""

MAX_CHARACTERS = 200
"""Longest text of an entry."""

MAX_SOURCE_TYPES = 5
"""Largest number of source types that are listed."""

SOURCE_TYPE = re.compile(rb"digitalsourcetype/([A-Za-z]{1,60})")
"""IPTC's digital source type, as the end of its URL."""

GENERATED_TYPES = frozenset(
    {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia"}
)
"""Source types of generated images, and of images with generated parts."""

GENERATOR_TEXTS = {
    "parameters": "Stable Diffusion WebUI",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "Dream": "InvokeAI",
    "fooocus_scheme": "Fooocus",
}
"""Programs by the keyword of the text that they write into PNG files."""

USER_COMMENT = 0x9286
CHARACTER_SETS = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "ascii", b"\0" * 8: "utf-8"}
"""Encodings of EXIF's user comment, by its first bytes."""


@dataclass(frozen=True)
class Provenance:
    """Statements of a file on its own origin; an entry is empty if there is none.

    Attributes:
        c2pa: State of its content credentials: ``valid`` (the signature fits the file; its signer
            is on no trust list), ``trusted``, ``invalid``, ``present, not checked``, or
            ``remote, not fetched``; with the signer.
        digital_source_type: IPTC digital source types, such as ``trainedAlgorithmicMedia``.
        parameters: Program that wrote parameters of generation, and their beginning.
        software: EXIF Software.
    """

    c2pa: str = ""
    digital_source_type: str = ""
    parameters: str = ""
    software: str = ""

    def __str__(self) -> str:
        """List the entries that say something."""
        named = {
            "C2PA": self.c2pa,
            "source type": self.digital_source_type,
            "parameters": self.parameters,
            "software": self.software,
        }
        return "; ".join(f"{name}: {value}" for name, value in named.items() if value)

    @property
    def says_generated(self) -> bool:
        """True if the file itself says that it is generated, in whole or in part."""
        types = self.digital_source_type.split(", ")
        return bool(self.parameters) or not GENERATED_TYPES.isdisjoint(types)


def read_provenance(content: bytes, metadata: Metadata) -> Provenance:
    """Read what a file says of its own origin.

    Args:
        content: The encoded file.
        metadata: Its metadata, decoded.
    """
    exif = _read_exif(metadata.exif)
    c2pa, types = _read_credentials(content, metadata.xmp or b"")
    types = [*_source_types(metadata.xmp or b""), *types]
    return Provenance(
        c2pa,
        ", ".join(list(dict.fromkeys(types))[:MAX_SOURCE_TYPES]),
        _parameters(metadata.texts, _user_comment(exif)),
        _plain(exif.get(ExifTags.Base.Software) or metadata.texts.get("Software", "")),
    )


def input_provenance(source: ImageInput, photo: Photo) -> Provenance:
    """Read what the file of an opened input says of its own origin.

    Credentials are not looked for in files above :data:`MAX_CHECKED_BYTES`.
    """
    content = source.read() if source.size <= MAX_CHECKED_BYTES else b""
    return read_provenance(content, photo.metadata)


def _read_credentials(content: bytes, xmp: bytes) -> tuple[str, list[str]]:
    """Return the state of content credentials, and the source types in them."""
    place = content.find(CREDENTIALS)
    if place < 0:
        return "remote, not fetched" if REMOTE_CREDENTIALS in xmp else "", []
    stored = _source_types(content[place : place + MAX_STORE_BYTES])
    if find_spec("c2pa") is None:
        return "present, not checked", stored
    return _check_credentials(content, stored)


def _check_credentials(content: bytes, stored: list[str]) -> tuple[str, list[str]]:
    """Check content credentials with their library."""
    import c2pa

    try:
        with c2pa.Reader(None, io.BytesIO(content), context=_offline_context()) as reader:
            store = parse_json(reader.json(), dict[str, Any], "the manifest store")
            state = str(reader.get_validation_state() or "present, not checked").lower()
    except (c2pa.C2paError, ValueError):
        return "invalid", stored
    manifest = (store.get("manifests") or {}).get(store.get("active_manifest")) or {}
    signer = (manifest.get("signature_info") or {}).get("issuer")
    # an edited image may have generated ingredients; the active manifest speaks for the file
    types = _source_types(str(manifest.get("assertions")).encode())
    return _plain(f"{state}, signed by {signer}" if signer else state), types


@cache
def _offline_context() -> Any:
    """Return the library's context, without any access to the network."""
    import c2pa

    offline = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    return c2pa.Context(c2pa.Settings.from_dict(offline))


def _source_types(content: bytes) -> list[str]:
    """Return the names of all digital source types in a text."""
    return [match.decode() for match in SOURCE_TYPE.findall(content)]


def _parameters(texts: Mapping[str, str], comment: str) -> str:
    """Name the program that wrote parameters of generation, with their beginning."""
    for keyword, program in GENERATOR_TEXTS.items():
        if texts.get(keyword):
            return _plain(f"{program}: {texts[keyword][: 4 * MAX_CHARACTERS]}")
    if texts.get("Software") == "NovelAI":
        return _plain(f"NovelAI: {texts.get('Description', '')}")
    if "Job ID:" in texts.get("Description", ""):
        return _plain(f"Midjourney: {texts['Description']}")
    if "Steps: " in comment and "Sampler: " in comment:
        return _plain(f"Stable Diffusion WebUI: {comment}")
    return ""


def _read_exif(content: bytes | None) -> Image.Exif:
    """Parse an EXIF block; empty if missing or damaged."""
    exif = Image.Exif()
    try:
        exif.load(content or b"")
    except Exception:  # a damaged block makes Pillow raise nearly anything
        return Image.Exif()
    return exif


def _user_comment(exif: Image.Exif) -> str:
    """Return EXIF's user comment; empty if missing or damaged."""
    try:
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(USER_COMMENT)
    except Exception:  # as above
        return ""
    if not isinstance(comment, bytes):
        return comment if isinstance(comment, str) else ""
    encoding = CHARACTER_SETS.get(comment[:8], "latin-1")
    return comment[8:].decode(encoding, "replace")


def _plain(text: object) -> str:
    """Shorten a text to one printable line that no spreadsheet takes for a formula."""
    line = " ".join(str(text)[: 8 * MAX_CHARACTERS].split())
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line
    )
    return shown.lstrip("=+-@")[:MAX_CHARACTERS].strip()

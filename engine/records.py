"""JSON files: bounded reading against a schema, and writing."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path, PurePath
from typing import Any, TypeVar

import msgspec

from engine.files import read_bytes, write_bytes

Kind = TypeVar("Kind")

MAX_JSON_BYTES = 1 << 30
"""Largest JSON file that is read, in bytes."""


def read_json(path: Path, kind: type[Kind], remedy: str = "get a whole copy of it") -> Kind:
    """Read a JSON file as a value of a type.

    Args:
        path: The file.
        kind: Schema: a dataclass, a ``TypedDict``, or a type such as ``dict[str, Any]``.
        remedy: Advice for a damaged file; the last part of the error message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not JSON, is too large, or does not match the schema.
            The message names the file and the place in it.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    if path.stat().st_size > MAX_JSON_BYTES:
        msg = f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB, the limit for JSON; {remedy}"
        raise ValueError(msg)
    return parse_json(read_bytes(path), kind, str(path), remedy)


def parse_json(
    content: bytes | str, kind: type[Kind], name: str, remedy: str = "get a whole copy of it"
) -> Kind:
    """Parse JSON text as a value of a type.

    Args:
        content: The text, or its UTF-8 bytes.
        kind: Schema, as of :func:`read_json`.
        name: Name of the text in error messages.
        remedy: Advice for damaged text; the last part of the error message.

    Raises:
        ValueError: If the text is not JSON or does not match the schema.
    """
    try:
        value = json.loads(content)
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        msg = f"{name}: damaged, or not of the expected structure ({error}); {remedy}"
        raise ValueError(msg) from error


def to_json(value: Any) -> str:
    """Format plain values as indented JSON text with a final line feed.

    Values of types without a JSON form become text; infinite numbers and NaN become null.
    """
    return json.dumps(_finite(value), indent=2, default=str, allow_nan=False) + "\n"


def write_readable_json(target: Path, value: Any) -> None:
    """Write JSON with letters of every script unescaped.

    Bytes of file names that are not valid UTF-8 are escaped.
    """
    text = json.dumps(value, indent=4, ensure_ascii=False) + "\n"
    # Python's escape of such a byte, \udcff, is JSON's escape as well
    write_bytes(target, text.encode("utf-8", "backslashreplace"))


def _finite(value: Any) -> Any:
    """Replace infinite numbers and NaN by None, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def strip_folders(text: str) -> str:
    """Remove the folders of absolute and home paths from a text, for privacy."""
    return re.sub(r"(?<![\w:/.])(?:~|/|[A-Za-z]:[\\/])(?:[^\s/\\,;'\"]+[/\\])+", "", text)


def without_folders(value: Any) -> Any:
    """Copy a record with absolute paths shortened to their last parts, for privacy.

    A value that is a path may have spaces, or a slash at its end.
    """
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(inner) for inner in value]
    if isinstance(value, PurePath):
        value = str(value)
    if not isinstance(value, str):
        return value
    is_path = PurePath(value).is_absolute() and ": " not in value
    return PurePath(value).name if is_path else strip_folders(value)

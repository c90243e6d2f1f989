"""Reading JSON files: bounded, checked against a schema, with errors that name the file and the place in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.files import read_bytes, write_bytes

Kind = TypeVar("Kind")

MAX_JSON_BYTES = 1 << 30
"""Largest JSON file that is read."""


def read_json(path: Path, kind: type[Kind], remedy: str = "get a whole copy of it") -> Kind:
    """Read a JSON file as a value of a type.

    Args:
        path: The file.
        kind: What it must hold: a dataclass, a ``TypedDict``, or a type such as ``dict[str, Any]`` or ``list[Row]``.
        remedy: What to do about a damaged file, for the message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, too large, or not of that type; the message names the file and the place in it.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    if path.stat().st_size > MAX_JSON_BYTES:
        msg = f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB, which no such file is; {remedy}"
        raise ValueError(msg)
    return parse_json(read_bytes(path), kind, str(path), remedy)


def parse_json(
    content: bytes | str, kind: type[Kind], name: str, remedy: str = "get a whole copy of it"
) -> Kind:
    """Read JSON text as a value of a type; errors call it ``name`` and are those of :func:`read_json`."""
    try:
        value = json.loads(content)
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        msg = f"{name}: damaged or not what it should be ({error}); {remedy}"
        raise ValueError(msg) from error


def to_json(value: Any) -> str:
    """Indented JSON text of plain values, with a line end.

    What JSON does not know is written as text, and numbers that are not finite as null, since JSON has none.
    """
    return json.dumps(_finite(value), indent=2, default=str, allow_nan=False) + "\n"


def write_readable_json(target: Path, value: Any) -> None:
    """Write JSON that keeps letters of every script as they are; bytes of names that are no text are escaped, as JSON has none."""
    text = json.dumps(value, indent=4, ensure_ascii=False) + "\n"
    write_bytes(target, text.encode("utf-8", "backslashreplace"))  # \udcff is JSON's escape, too


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value

"""Parquet tables with an image in each row, as data sets of the Hub have them.

Rows are read a few at a time. One page of the file, at most a row group, is in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from engine.records import parse_json
from images.archives import MAX_MEMBER_BYTES, DamagedArchive, Member
from images.kinds import UnreadableImage, image_codec

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_AT_ONCE = 16
"""Rows decoded at a time."""

BUFFER_BYTES = 1 << 20
"""Bytes that are read at a time, instead of a whole column of a row group."""

MAX_CELL_CHARACTERS = 1000
"""Longest label or generator that is read."""

REMEDY = 'name it, such as --columns \'{"image": "NAME"}\''


@dataclass(frozen=True)
class Columns:
    """Columns of a table of images.

    Attributes:
        image: The image's bytes, alone or as ``bytes`` in a struct; the only such column if None.
        label: The class; a column ``label`` if None.
        generator: The model's name; not read if None.
        released: The model's release date; not read if None.
    """

    image: str | None = None
    label: str | None = None
    generator: str | None = None
    released: str | None = None


ANY_COLUMNS = Columns()


def read_table(stream: IO[bytes], name: str, columns: Columns = ANY_COLUMNS) -> Iterator[Member]:
    """Yield the image of every row of a parquet file, with its label, generator and its date.

    A member is named by its row, ``000000012.png``. A row without an image is faulty. Numbers of a
    label with names in the file, as ``datasets`` writes them, are given as these names.

    Args:
        stream: The file; seekable.
        name: Name of the file in error messages.
        columns: Columns to read.

    Raises:
        DamagedArchive: If the file is damaged.
        ValueError: If there is no such column, or no single column of images.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False)
        schema = table.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(name, 0, error) from error
    image = columns.image or _image_column(schema, name)
    label = columns.label or ("label" if "label" in schema.names else None)
    roles = asdict(columns) | {"image": image, "label": label}
    wanted = {role: column for role, column in roles.items() if column is not None}
    for role, column in wanted.items():
        if column not in schema.names:
            msg = f"{name}: no column '{column}' for the {role}; it has {', '.join(schema.names)}"
            raise ValueError(msg)
    names = _class_names(schema, label)
    row = 0
    try:
        for values in _rows(table, sorted(set(wanted.values()))):
            facts = _facts(values, wanted, names)
            yield _member(row, values[image], facts)
            row += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged(name, row, error) from error


def _rows(table: pq.ParquetFile, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all row groups."""
    for batch in table.iter_batches(ROWS_AT_ONCE, columns=columns, use_threads=False):
        yield from batch.to_pylist()


def _member(row: int, cell: Any, facts: Mapping[str, str]) -> Member:
    """Make the member of a row."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes) or not content:
        return Member(f"{row:09d}.image", b"", fault="no image in this row", columns=facts)
    if len(content) > MAX_MEMBER_BYTES:
        fault = f"{len(content):,} bytes, more than an image has"
        return Member(f"{row:09d}.image", b"", fault=fault, columns=facts)
    try:
        ending = image_codec(content)
    except UnreadableImage as error:
        reason = str(error).removeprefix("the image: ")
        return Member(f"{row:09d}.image", b"", fault=reason, columns=facts)
    return Member(f"{row:09d}.{ending}", content, columns=facts)


def _facts(values: dict[str, Any], wanted: dict[str, str], names: list[str]) -> dict[str, str]:
    """Return a row's label, generator and release date, as far as it has them."""
    facts = {}
    for role in ("label", "generator", "released"):
        value = values.get(wanted[role]) if role in wanted else None
        if value is None or value == "" or isinstance(value, bytes | dict | list):
            continue
        if role == "label" and type(value) is int and 0 <= value < len(names):
            value = names[value]
        facts[role] = str(value)[:MAX_CELL_CHARACTERS]
    return facts


def _image_column(schema: pa.Schema, name: str) -> str:
    """Return the only column of images.

    Raises:
        ValueError: If there is none, or several.
    """
    found = [field.name for field in schema if _holds_bytes(field.type)]
    if len(found) != 1:
        has = f"the columns {', '.join(found)} hold" if found else "no column holds"
        msg = f"{name}: {has} bytes of files, and one column of images is read; {REMEDY}"
        raise ValueError(msg)
    return found[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    """Check whether a column holds bytes, alone or as ``bytes`` in a struct."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _class_names(schema: pa.Schema, label: str | None) -> list[str]:
    """Return the names of a label's numbers, as ``datasets`` writes them; empty if none."""
    notes = (schema.metadata or {}).get(b"huggingface")
    if notes is None or label is None:
        return []
    try:
        info = parse_json(notes, dict[str, Any], "the file's notes").get("info")
        features = info.get("features") if isinstance(info, dict) else None
        feature = features.get(label) if isinstance(features, dict) else None
        names = feature.get("names") if isinstance(feature, dict) else None
    except ValueError:
        return []
    return [str(value) for value in names] if isinstance(names, list) else []


def _damaged(name: str, row: int, error: Exception) -> DamagedArchive:
    """Describe damage of a table."""
    reason = str(error).partition("\n")[0][:200]
    place = f"damaged after {row} rows" if row else "not a whole parquet file"
    msg = f"{PurePosixPath(name)}: {place} ({reason}); get a complete copy"
    return DamagedArchive(msg)

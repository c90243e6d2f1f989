"""Markdown tables of the generated reference pages."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [_table_row(cells) for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def _table_row(cells: Sequence[str]) -> str:
    """Format a row; a cell cannot hold bars or line breaks."""
    escaped = [cell.replace("|", "/").replace("\n", " ") for cell in cells]
    return "| " + " | ".join(escaped) + " |"


def plain(text: str) -> str:
    """Convert a docstring's text to one line of Markdown."""
    text = re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


def class_section(kind: type, settings: type | None = None) -> str:
    """Format a class's summary and the table of its settings."""
    rows = [list(row) for row in (fields_of(settings) if settings else arguments_of(kind))]
    head = f"### {kind.__name__}\n\n{plain(inspect.getdoc(kind).split(chr(10) * 2)[0])}\n"
    return head + ("\n" + table(["setting", "default", "meaning"], rows) if rows else "")


def fields_of(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of a dataclass's fields."""
    about = documented(kind)
    for field in dataclasses.fields(kind):
        default = field.default if field.default is not dataclasses.MISSING else None
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        yield (
            f"`{field.name}`",
            "required" if required else shown_default(default),
            about.get(field.name, ""),
        )


def arguments_of(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of a constructor's arguments."""
    about = documented(kind)
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        yield (
            f"`{name}`",
            "required" if required else shown_default(parameter.default),
            about.get(name, ""),
        )


def documented(kind: type) -> dict[str, str]:
    """Collect the descriptions of arguments from a class and its bases."""
    from docstring_parser import parse

    about: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        texts = [
            base.__dict__.get("__doc__") or "",
            getattr(base.__dict__.get("__init__"), "__doc__", "") or "",
        ]
        for text in texts:
            about |= {part.arg_name: plain(part.description or "") for part in parse(text).params}
    return about


def shown_default(value: Any) -> str:
    """Format a default as in YAML."""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        parts = [f"{type(v).__name__}()" if dataclasses.is_dataclass(v) else str(v) for v in value]
        return f"`[{', '.join(parts)}]`"
    if isinstance(value, str | int | float):
        if str(value).strip():
            return f"`{value}`"
        return "one blank" if value else "empty"
    return f"`{type(value).__name__}()`"

"""Options and messages of ``python -m indexing add``, ``update`` and ``remove``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb

ALL_FEATURES = "folders of all descriptors that the index is to hold"


def add_options(parser: Parser) -> None:
    """Add the options of ``add``."""
    parser.add_argument("folder", type=Path, help="folder of the index")
    parser.add_argument(
        "features",
        type=Path,
        nargs="+",
        help="folders of descriptors; OUT/originals after python -m indexing activate",
    )
    parser.add_call("indexing.update:add", skip={"folder", "features"})


def add(settings: Any, output: Output) -> int:
    """Insert descriptors into an index."""
    from indexing.update import add as add_to_index

    index = add_to_index(**settings.as_dict())
    output.result(
        f"{len(index)} entries in {settings.folder}",
        output=settings.folder,
        entries=len(index),
    )
    return 0


def update_options(parser: Parser) -> None:
    """Add the options of ``update``."""
    parser.add_argument("folder", type=Path, help="folder of the index")
    parser.add_argument("features", type=Path, nargs="+", help=ALL_FEATURES)
    parser.add_call("indexing.update:update", skip={"folder", "features"})


def update(settings: Any, output: Output) -> int:
    """Make an index hold exactly these descriptors."""
    from dataclasses import asdict

    from indexing.update import update as update_index

    index, changes = update_index(**settings.as_dict())
    output.result(
        f"{changes}: {len(index)} entries in {settings.folder}",
        output=settings.folder,
        entries=len(index),
        **asdict(changes),
    )
    return 0


def remove_options(parser: Parser) -> None:
    """Add the options of ``remove``."""
    parser.add_argument("folder", type=Path, help="folder of the index")
    parser.add_argument(
        "names",
        nargs="+",
        help="entries by name, as in matches.csv, or text files with a name on each line",
    )


def remove(settings: Any, output: Output) -> int:
    """Remove entries of an index; return 0 only if all were in it."""
    from indexing.update import remove as remove_from_index

    index, removed, unknown = remove_from_index(settings.folder, settings.names)
    for name in unknown:
        output.error(f"{name} is not in the index {settings.folder}")
    output.result(
        f"{len(removed)} removed, {len(index)} entries in {settings.folder}",
        output=settings.folder,
        entries=len(index),
        removed=removed,
        unknown=unknown,
    )
    return 1 if unknown else 0


ADD = Verb(
    "Insert descriptors into an index.",
    "indexing add INDEX/ OUT/originals",
    add_options,
    add,
)

UPDATE = Verb(
    "Make an index hold exactly the given descriptors: add, replace and remove entries.",
    "indexing update INDEX/ FEATURES/",
    update_options,
    update,
)

REMOVE = Verb(
    "Remove entries from an index; the ids of all others stay.",
    "indexing remove INDEX/ PHOTOS/gone.jpg",
    remove_options,
    remove,
)

"""The room's command line, what it writes, and damage to that."""

import csv
import json

from engine.cli import run
from indexing.__main__ import main


def indexing(*arguments):
    """The exit code of a verb."""
    return run(main, list(map(str, arguments)))


def table(file):
    """The rows of a CSV file."""
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def activate(originals, out, index, extractor, *more):
    """The exit code of an activation for one index."""
    return indexing(
        "activate",
        originals,
        "-o",
        out,
        "--index",
        index,
        "--extractor.name",
        extractor,
        "--workers=0",
        *more,
    )


def search(images, table, index, extractor, *more):
    """The exit code of a search."""
    return indexing(
        "search",
        images,
        "-o",
        table,
        "--index",
        index,
        "--extractor.name",
        extractor,
        "--workers=0",
        *more,
    )


def unhashed(folder):
    """The folder as earlier versions wrote it."""
    facts = json.loads((folder / "index.json").read_text())
    del facts["sha256"]
    (folder / "index.json").write_text(json.dumps(facts))
    return folder


def flip_bit(file, place):
    """Change one bit, in the middle if the file is shorter."""
    content = bytearray(file.read_bytes())
    content[min(place, len(content) // 2)] ^= 16
    file.write_bytes(content)

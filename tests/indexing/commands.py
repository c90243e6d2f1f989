"""The room's command line, what it writes, and damage to that."""

import csv
import json
from functools import partial

from engine.cli import run
from indexing.__main__ import main


def indexing(*arguments):
    """The exit code of a verb."""
    return run(main, list(map(str, arguments)))


def table(file):
    """The rows of a CSV file."""
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def with_index(verb, images, output, index, extractor, *more):
    """The exit code of a verb on images that asks one index."""
    options = ("--index", index, "--extractor.name", extractor, "--workers=0")
    return indexing(verb, images, "-o", output, *options, *more)


activate = partial(with_index, "activate")
search = partial(with_index, "search")


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

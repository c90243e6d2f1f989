"""``python -m indexing VERB``: copy detection and active indexing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.cli import (
    Output,
    Parser,
    Room,
    Training,
    Verb,
    add_images,
    add_job_arguments,
    job_options,
    run,
)
from indexing import activate_command, change_commands, dedup_command, search_command
from indexing.options import extractor_of, extractor_options

FEATURES = "folders written by python -m indexing extract, or with fts.pt and filenames.txt"
"""Help of options that take descriptors."""


def prepare_options(parser: Parser) -> None:
    """Add the options of ``prepare``."""
    parser.add_argument("data", type=Path, help="folder with DISC21's references/ and train/")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of the three folders of links"
    )
    parser.add_call("indexing.prepare:prepare_disc", skip={"data", "output"})


def prepare(settings: Any, output: Output) -> int:
    """Link DISC21's images into folders."""
    from indexing.prepare import prepare_disc

    counts = prepare_disc(**settings.as_dict())
    summary = ", ".join(f"{count} in {name}" for name, count in counts.items())
    output.result(summary, counts=counts)
    return 0


def extract_options(parser: Parser) -> None:
    """Add the options of ``extract``."""
    add_images(parser, "inputs")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of the descriptors"
    )
    parser.add_argument(
        "--fts",
        type=bool,
        default=False,
        help="also write fts.pt, as active indexing's published programs do",
    )
    extractor_options(parser)
    add_job_arguments(parser, batch_size=64)


def extract(settings: Any, output: Output) -> int:
    """Compute descriptors; return 0 only if every image is readable."""
    from indexing.extract import extract as extract_descriptors

    report = extract_descriptors(
        settings.inputs,
        settings.output,
        extractor_of(settings),
        job_options(settings),
        settings.fts,
    )
    if report is None:
        return 0
    code = output.report(report.job, f"images described in {settings.output}")
    store = report.store
    output.result(
        f"{len(store)} descriptors of {store.dimension} values in {settings.output}",
        output=settings.output,
        dimension=store.dimension,
        kept=report.kept,
    )
    return code


def build_options(parser: Parser) -> None:
    """Add the options of ``build``."""
    parser.add_argument("features", type=Path, nargs="+", help=FEATURES)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the index")
    parser.add_call("indexing.build:build", skip={"features", "output"})


def build(settings: Any, output: Output) -> int:
    """Train and fill an index."""
    from indexing.build import build as build_index

    index = build_index(**settings.as_dict())
    output.result(
        f"{len(index)} entries of {index.dimension} values in {settings.output}",
        output=settings.output,
        entries=len(index),
        dimension=index.dimension,
    )
    judge = index.judge()
    output.result(judge.words(), threshold=judge.copy, max_fpr=judge.max_fpr)
    return 0


VERBS: dict[str, Verb | Training] = {
    "prepare": Verb(
        "Link DISC21 into the folders of the paper's experiments.",
        "indexing prepare DISC21/ -o DISC/",
        prepare_options,
        prepare,
    ),
    "extract": Verb(
        "Compute image descriptors: features.npy and filenames.txt. A stopped job resumes.",
        "indexing extract PHOTOS/ -o FEATURES/",
        extract_options,
        extract,
    ),
    "build": Verb(
        "Train and fill an index of descriptors, by any faiss factory string.",
        "indexing build FEATURES/ -o INDEX/ --factory IVF4096,PQ8x8",
        build_options,
        build,
    ),
    "add": change_commands.ADD,
    "update": change_commands.UPDATE,
    "remove": change_commands.REMOVE,
    "activate": activate_command.VERB,
    "search": search_command.VERB,
    "dedup": dedup_command.VERB,
}

ROOM = Room("indexing", "Copy detection, and Active Indexing of images.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

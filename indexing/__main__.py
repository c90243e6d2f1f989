"""``python -m indexing VERB``: copy detection and active indexing."""

from __future__ import annotations

import sys
from dataclasses import asdict
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
from indexing import activate_command
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
    return 0


def add_options(parser: Parser) -> None:
    """Add the options of ``add``."""
    parser.add_argument("folder", type=Path, help="folder of the index")
    parser.add_argument(
        "features",
        type=Path,
        nargs="+",
        help="folders of descriptors; OUT/originals after python -m indexing activate",
    )
    parser.add_call("indexing.build:add", skip={"folder", "features"})


def add(settings: Any, output: Output) -> int:
    """Insert descriptors into an index."""
    from indexing.build import add as add_to_index

    index = add_to_index(**settings.as_dict())
    output.result(
        f"{len(index)} entries in {settings.folder}",
        output=settings.folder,
        entries=len(index),
    )
    return 0


def search_options(parser: Parser) -> None:
    """Add the options of ``search``."""
    add_images(parser, "images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    parser.add_argument(
        "--index",
        type=Path,
        required=True,
        help="folder of an index, or of descriptors for exact search",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="also write a page with the images, next to the table",
    )
    parser.add_argument("--overwrite", action="store_true", help="overwrite an existing table")
    parser.add_argument("--mapped", action="store_true", help="memory-map the index")
    parser.add_argument(
        "--verify",
        type=bool,
        default=True,
        help="compare the index's files with their recorded sha256 first",
    )
    parser.add_call("indexing.search:search", skip={"index", "queries", "batch"})
    extractor_options(parser)
    add_job_arguments(parser, batch_size=64)


def search(settings: Any, output: Output) -> int:
    """Search images in an index; return 0 if all are readable."""
    from tempfile import TemporaryDirectory

    from engine.devices import DeviceOptions
    from engine.job import JobOptions
    from engine.tables import write_table
    from indexing.extract import extract as extract_descriptors
    from indexing.matches import COLUMNS
    from indexing.search import open_searchable
    from indexing.search import search as search_index
    from indexing.search_page import write_page

    # files to write, and the index
    page = settings.output.with_suffix(".html")
    targets = [settings.output, page] if settings.html else [settings.output]
    check_targets(targets, settings.overwrite)
    index = open_searchable(settings.index, settings.mapped, settings.verify)
    if settings.devices not in (1, "auto") or settings.num_nodes != 1:
        msg = (
            "search runs in one process: leave --devices and --num-nodes at 1; for many images, "
            "extract descriptors in several processes with python -m indexing extract"
        )
        raise ValueError(msg)
    devices = DeviceOptions(settings.accelerator, precision=settings.precision)
    options = JobOptions(devices, settings.batch_size, settings.workers)
    with TemporaryDirectory() as folder:
        # descriptors of the queries
        queries = Path(folder) / "queries"
        report = extract_descriptors(settings.images, queries, extractor_of(settings), options)
        if report is None:
            return 0
        # matches
        parameters = {key: settings[key] for key in ("k", "parameters", "beta", "threshold")}
        matches = search_index(index, report.store, **parameters)
        write_table(settings.output, COLUMNS, (asdict(match) for match in matches))
        if settings.html:
            write_page(matches, len(report.store), page)
        code = output.report(report.job, "images described")
        matched = len({match.query for match in matches})
        output.result(
            f"{matched} of {len(report.store)} images have matches; {settings.output}",
            output=settings.output,
            matched=matched,
        )
    return code


def check_targets(targets: list[Path], overwrite: bool) -> None:
    """Refuse targets that are folders or existing files.

    Raises:
        ValueError: If a target is a folder, or a file without ``overwrite``.
    """
    for target in targets:
        if target.is_dir():
            msg = f"{target} is a folder: name another file"
            raise ValueError(msg)
        if target.exists() and not overwrite:
            msg = f"{target} exists already: name another file, or add --overwrite"
            raise ValueError(msg)


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
    "add": Verb(
        "Insert descriptors into an index.",
        "indexing add INDEX/ OUT/originals",
        add_options,
        add,
    ),
    "activate": activate_command.VERB,
    "search": Verb(
        "Find the entries of an index that are copies of images: a table, and a page with --html.",
        "indexing search PHOTOS/ -o matches.csv --index INDEX/",
        search_options,
        search,
    ),
}

ROOM = Room("indexing", "Copy detection, and Active Indexing of images.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

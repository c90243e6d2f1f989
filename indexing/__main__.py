"""``python -m indexing VERB``: copy detection, and images that are found again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Room, Training, Verb, add_job_arguments, job_options, run
from indexing import activate_command
from indexing.options import IMAGES, extractor_of, extractor_options

FEATURES = "folders of python -m indexing extract, or with fts.pt and filenames.txt"


def prepare_options(parser: Parser) -> None:
    """What ``prepare`` asks for."""
    parser.add_argument("data", type=Path, help="folder with DISC21's references/ and train/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the three")
    parser.add_call("indexing.prepare:prepare_disc", skip={"data", "output"})


def prepare(settings: Any, output: Output) -> int:
    """Lay out DISC21."""
    from indexing.prepare import prepare_disc

    counts = prepare_disc(**settings.as_dict())
    output.result(", ".join(f"{count} in {name}" for name, count in counts.items()), counts=counts)
    return 0


def extract_options(parser: Parser) -> None:
    """What ``extract`` asks for."""
    parser.add_argument("inputs", type=Path, nargs="+", help=IMAGES)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the descriptors")
    parser.add_argument("--fts", type=bool, default=False, help="write fts.pt, too, as active indexing's published programs do")
    extractor_options(parser)
    add_job_arguments(parser, batch_size=64)


def extract(settings: Any, output: Output) -> int:
    """Describe images; 0 only if every one could be read."""
    from indexing.extract import extract as describe

    report = describe(settings.inputs, settings.output, extractor_of(settings), job_options(settings), settings.fts)
    if report is None:
        return 0
    code = output.report(report.job, f"images described in {settings.output}")
    words = f"{len(report.store)} descriptors of {report.store.dimension} values in {settings.output}"
    output.result(words, output=settings.output, dimension=report.store.dimension, kept=report.kept)
    return code


def build_options(parser: Parser) -> None:
    """What ``build`` asks for."""
    parser.add_argument("features", type=Path, nargs="+", help=FEATURES)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the index")
    parser.add_call("indexing.build:build", skip={"features", "output"})


def build(settings: Any, output: Output) -> int:
    """Train and fill an index."""
    from indexing.build import build as make

    index = make(**settings.as_dict())
    words = f"{len(index)} entries of {index.dimension} values in {settings.output}"
    output.result(words, output=settings.output, entries=len(index), dimension=index.dimension)
    return 0


def add_options(parser: Parser) -> None:
    """What ``add`` asks for."""
    parser.add_argument("folder", type=Path, help="the index's folder")
    parser.add_argument("features", type=Path, nargs="+", help="folders of descriptors; OUT/originals after python -m indexing activate")
    parser.add_call("indexing.build:add", skip={"folder", "features"})


def add(settings: Any, output: Output) -> int:
    """Insert descriptors."""
    from indexing.build import add as insert

    index = insert(**settings.as_dict())
    output.result(f"{len(index)} entries in {settings.folder}", output=settings.folder, entries=len(index))
    return 0


def search_options(parser: Parser) -> None:
    """What ``search`` asks for."""
    parser.add_argument("images", type=Path, nargs="+", help=IMAGES)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("--index", type=Path, required=True, help="folder of an index, or of descriptors, which are searched exactly")
    parser.add_argument("--html", action="store_true", help="a page with the images beside the table, too")
    parser.add_argument("--overwrite", action="store_true", help="write over an earlier table")
    parser.add_argument("--mapped", action="store_true", help="leave the index on disk and read only what is searched")
    parser.add_argument("--verify", type=bool, default=True, help="compare the index's files with their recorded sha256 first")
    parser.add_call("indexing.search:search", skip={"index", "queries", "batch"})
    extractor_options(parser)
    add_job_arguments(parser, batch_size=64)


def search(settings: Any, output: Output) -> int:
    """Look images up; 0 only if every one could be read."""
    from tempfile import TemporaryDirectory

    from engine.devices import DeviceOptions
    from engine.job import JobOptions
    from engine.tables import write_table
    from indexing.extract import extract as describe
    from indexing.search import COLUMNS, open_searchable
    from indexing.search import search as look_up
    from indexing.search_page import write_page

    page = settings.output.with_suffix(".html")
    check_targets([settings.output, *([page] if settings.html else [])], settings.overwrite)
    index = open_searchable(settings.index, settings.mapped, settings.verify)
    if settings.devices not in (1, "auto") or settings.num_nodes != 1:
        msg = "search runs in one process; describe many images with python -m indexing extract, which runs in several"
        raise ValueError(msg)
    options = JobOptions(DeviceOptions(settings.accelerator, precision=settings.precision), settings.batch_size, settings.workers)
    with TemporaryDirectory() as place:
        report = describe(settings.images, Path(place) / "queries", extractor_of(settings), options)
        if report is None:
            return 0
        how = {key: settings[key] for key in ("k", "parameters", "beta", "threshold")}
        matches = look_up(index, report.store, **how)
        write_table(settings.output, COLUMNS, (asdict(match) for match in matches))
        if settings.html:
            write_page(matches, len(report.store), page)
        code = output.report(report.job, "images described")
        found = len({match.query for match in matches})
        output.result(f"{found} of {len(report.store)} images have matches; {settings.output}", output=settings.output, matched=found)
    return code


def check_targets(targets: list[Path], overwrite: bool) -> None:
    """Refuse to write over files unasked.

    Raises:
        ValueError: If one is there.
    """
    there = next((target for target in targets if target.exists()), None)
    if there is not None and (there.is_dir() or not overwrite):
        kind = "a folder" if there.is_dir() else "there already"
        msg = f"{there} is {kind}: name another file" + ("" if there.is_dir() else ", or add --overwrite to write over it")
        raise ValueError(msg)


VERBS: dict[str, Verb | Training] = {
    "prepare": Verb("DISC21 as the folders of the paper's experiments.", "indexing prepare DISC21/ -o DISC/", prepare_options, prepare),
    "extract": Verb(
        "A descriptor of every image: features.npy and filenames.txt. A stopped job goes on.",
        "indexing extract PHOTOS/ -o FEATURES/",
        extract_options,
        extract,
    ),
    "build": Verb(
        "Train and fill an index of descriptors, by any string of faiss.",
        "indexing build FEATURES/ -o INDEX/ --factory IVF4096,PQ8x8",
        build_options,
        build,
    ),
    "add": Verb("Further descriptors into an index.", "indexing add INDEX/ OUT/originals", add_options, add),
    "activate": activate_command.VERB,
    "search": Verb(
        "Which entries of an index are copies of these images: a table, and a page with --html.",
        "indexing search PHOTOS/ -o matches.csv --index INDEX/",
        search_options,
        search,
    ),
}

ROOM = Room("indexing", "Copy detection, and images that are found again.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

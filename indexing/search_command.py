"""Options and messages of ``python -m indexing search``."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments
from indexing.options import extractor_of, extractor_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexing.matches import Match


def options(parser: Parser) -> None:
    """Add the options of ``search``."""
    add_images(parser, "images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    parser.add_argument(
        "--index",
        type=Path,
        required=True,
        help="folder of an index, or of descriptors for exact search without verdicts",
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


def act(settings: Any, output: Output) -> int:
    """Search images in an index; return 0 if all are readable."""
    from tempfile import TemporaryDirectory

    from engine.devices import DeviceOptions
    from engine.job import JobOptions
    from engine.tables import write_table
    from indexing.extract import extract
    from indexing.matches import COLUMNS
    from indexing.search import extractor_record, open_searchable, search
    from indexing.search_page import write_page
    from indexing.verdicts import unlike_words
    from models.embedder_config import EmbedderConfig

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
    recorded = partial(EmbedderConfig.from_record, extractor_record(index))
    extractor = extractor_of(settings, recorded)
    devices = DeviceOptions(settings.accelerator, precision=settings.precision)
    job_options = JobOptions(devices, settings.batch_size, settings.workers)
    with TemporaryDirectory() as folder:
        # descriptors of the queries
        report = extract(settings.images, Path(folder) / "queries", extractor, job_options)
        if report is None:
            return 0
        # matches
        names = ("k", "parameters", "max_fpr", "beta", "threshold")
        matches, judge = search(index, report.store, **{name: settings[name] for name in names})
        write_table(settings.output, COLUMNS, map(row_of, matches))
        words = summary(matches, settings.max_fpr)
        if settings.html:
            write_page(matches, words, judge, page)
        store = report.store
        if warning := unlike_words(judge.unlike(store.rows(0, len(store))), len(store)):
            output.warning(warning)
        code = output.report(report.job, "images described")
        counts = Counter(match.verdict for match in first(matches))
        output.result(f"{words}; {settings.output}", verdicts=dict(counts))
        output.result(judge.words(), threshold=judge.copy, max_fpr=judge.max_fpr)
    return code


def summary(matches: Sequence[Match], max_fpr: float) -> str:
    """Count the verdicts on queries, in words."""
    counts = Counter(match.verdict for match in first(matches))
    total = counts.total()
    if counts["no threshold"]:
        return (
            f"{total} images with their nearest entries, without verdicts: the index has no "
            f"threshold for a rate of false matches of {max_fpr:g}; build it with --background, "
            "or with more entries"
        )
    return (
        f"{counts['copy']} of {total} images are copies of entries, {counts['unsure']} unsure, "
        f"{counts['not in the index']} not in the index, at a rate of false matches of at most "
        f"{max_fpr:g}"
    )


def first(matches: Sequence[Match]) -> list[Match]:
    """Return the first match of each query."""
    return list({match.query: match for match in reversed(matches)}.values())[::-1]


def row_of(match: Match) -> dict[str, Any]:
    """Return a row of the table; what a query without a match lacks is empty."""
    row = asdict(match)
    return {key: "" if _is_nan(value) else value for key, value in row.items()}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


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


VERB = Verb(
    "Find the entries of an index that are copies of images: a table, and a page with --html.",
    "indexing search PHOTOS/ -o matches.csv --index INDEX/",
    options,
    act,
)

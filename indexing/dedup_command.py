"""Options and messages of ``python -m indexing dedup``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments
from indexing.options import extractor_of, extractor_options
from indexing.search_command import check_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexing.dedup import Evidence, Member
    from indexing.verdicts import Judge
    from models.store import VectorStore

NO_DESCRIPTORS = (
    "Copies are equal files, and images whose PDQ hashes differ in at most 31 of 256 bits, its "
    "authors' limit. Descriptors were not compared: give --background or --threshold."
)


def options(parser: Parser) -> None:
    """Add the options of ``dedup``."""
    add_images(parser, "inputs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    parser.add_argument(
        "--html",
        action="store_true",
        help="also write a page with the images, next to the table",
    )
    parser.add_argument("--overwrite", action="store_true", help="overwrite an existing table")
    parser.add_argument(
        "--background",
        type=Path | None,
        default=None,
        help="descriptors or images of which there are no copies here, to compare descriptors at a "
        "stated rate",
    )
    parser.add_argument(
        "--max-fpr",
        type=float,
        default=0.01,
        help="share of images like the background set that may be called copies",
    )
    parser.add_argument(
        "--threshold",
        type=float | None,
        default=None,
        help="similarity of descriptors above which images are copies, without a stated rate",
    )
    extractor_options(parser)
    add_job_arguments(parser, batch_size=64)


def act(settings: Any, output: Output) -> int:
    """Find groups of copies; return 0 if all images are readable."""
    from engine.tables import write_table
    from indexing.dedup import COLUMNS, Evidence, equal_files, group, hash_images, near_hashes
    from indexing.dedup_page import write_page
    from models.store import VectorStore
    from models.store_files import matrix_file

    # files to write, and the images or descriptors
    page = settings.output.with_suffix(".html")
    check_targets(
        [settings.output, page] if settings.html else [settings.output], settings.overwrite
    )
    first = settings.inputs[0]
    code = 0
    if first.is_dir() and matrix_file(first) is not None:
        if len(settings.inputs) > 1:
            msg = f"{first} holds descriptors: give one folder of descriptors, or images"
            raise ValueError(msg)
        store = VectorStore.open(first)
        names = store.names
        files = [image.sha256 for image in store.images]
        words_of_pairs, descriptors = compare(store, settings)
        evidence = Evidence(equal_files(files), {}, descriptors)
    else:
        from images.inputs import find_images

        found = find_images(settings.inputs)
        hashed = hash_images(found.images)
        failed = found.failed | hashed.failed
        for name, reason in found.skipped.items():
            output.tell(f"skipped {name}: {reason}")
        for reason in failed.values():
            output.error(reason)
        code = 1 if failed else 0
        output.result(done=len(hashed.names), failed=failed, skipped=found.skipped)
        names = hashed.names
        evidence = Evidence(equal_files(hashed.digests), near_hashes(hashed))
        words_of_pairs = NO_DESCRIPTORS
        if (settings.background or settings.threshold is not None) and names:
            words_of_pairs = add_descriptors(evidence, names, settings)
    # groups
    members = group(names, evidence)
    write_table(settings.output, COLUMNS, map(asdict, members))
    words = summary(len(names), members)
    if settings.html:
        write_page(members, words, words_of_pairs, page)
    groups: dict[int, list[str]] = {}
    for member in members:
        groups.setdefault(member.group, []).append(member.image)
    output.result(f"{words}; {settings.output}", groups=list(groups.values()))
    output.result(words_of_pairs)
    return code


def add_descriptors(evidence: Evidence, names: Sequence[str], settings: Any) -> str:
    """Describe images and add pairs of near descriptors; return what makes a pair, in words."""
    from tempfile import TemporaryDirectory

    from engine.devices import DeviceOptions
    from engine.job import JobOptions
    from indexing.extract import extract

    devices = DeviceOptions(settings.accelerator, precision=settings.precision)
    job_options = JobOptions(devices, settings.batch_size, settings.workers, alone=True)
    with TemporaryDirectory() as folder:
        report = extract(
            settings.inputs, Path(folder) / "features", extractor_of(settings), job_options
        )
        assert report is not None, "the job runs in one process"
        words, pairs = compare(report.store, settings)
        places = {name: place for place, name in enumerate(names)}
        where = [places.get(name) for name in report.store.names]
    for (one, other), similarity in pairs.items():
        first, second = where[one], where[other]
        if first is not None and second is not None:
            evidence.descriptors[min(first, second), max(first, second)] = similarity
    return f"{words} Equal files and near PDQ hashes are copies, too."


def compare(store: VectorStore, settings: Any) -> tuple[str, dict[tuple[int, int], float]]:
    """Compare descriptors; return what makes a pair, in words, and the pairs."""
    from indexing.dedup import calibrated, near_descriptors
    from indexing.verdicts import Judge, unlike_words

    if settings.background is None and settings.threshold is None:
        msg = (
            "descriptors need a limit: give --background with images of which there are no copies "
            "here, or a similarity such as --threshold 0.9"
        )
        raise ValueError(msg)
    judge: Judge
    if settings.threshold is not None:
        judge = Judge(copy=settings.threshold, unsure=settings.threshold)
        words = (
            f"Descriptors more similar than {settings.threshold:g} are copies; no rate is stated."
        )
    else:
        judge = calibrated(store, settings.background, settings.max_fpr)
        words = (
            f"Descriptors of scores above {judge.copy:.3f} are copies; of images like the "
            f"background set without a copy, at most {judge.max_fpr:g} are called copies of "
            f"another. {judge.calibration}"
        )
        if warning := unlike_words(judge.unlike(store.rows(0, len(store))), len(store)):
            words += f" Warning: {warning}."
    return words, near_descriptors(store, judge)


def summary(images: int, members: Sequence[Member]) -> str:
    """Count images and groups, in words."""
    groups = members[-1].group if members else 0
    word = "group" if groups == 1 else "groups"
    return (
        f"{images} images: {len(members)} in {groups} {word} of copies, "
        f"{len(members) - groups} more than one of each"
    )


VERB = Verb(
    "Find groups of copies within a collection: a table, and a page with --html.",
    "indexing dedup PHOTOS/ -o groups.csv --html",
    options,
    act,
)

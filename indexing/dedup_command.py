"""Options and messages of ``python -m indexing dedup``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments
from indexing.options import extractor_of, extractor_options
from indexing.search_command import check_targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexing.dedup import Evidence, Member
    from indexing.verdicts import Judge
    from models.store import VectorStore

NO_DESCRIPTORS = (
    "Copies are equal files, and images whose PDQ hashes differ in at most 31 of 256 bits, its "
    "authors' limit. Descriptors were not compared: give --background or --threshold."
)


MAX_NAMED = 5
"""Most images that a message names."""


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


@dataclass(frozen=True)
class Compared:
    """Images and what makes them copies.

    Attributes:
        names: Names of the N images.
        evidence: Pairs of them.
        words: What makes a pair, in words.
        flat: Names of the images that PDQ cannot compare.
        errors: Reason for each image that was not compared, or not described, by its name.
    """

    names: Sequence[str]
    evidence: Evidence
    words: str
    flat: Sequence[str] = ()
    errors: Mapping[str, str] = field(default_factory=dict)


def act(settings: Any, output: Output) -> int:
    """Find groups of copies; return 0 if all images were read, and described if asked for."""
    from engine.tables import write_table
    from indexing.dedup import COLUMNS, FLAT, group, rows_of
    from indexing.dedup_page import write_page
    from models.store_files import matrix_file

    # files to write, and the images or descriptors
    page = settings.output.with_suffix(".html")
    check_targets(
        [settings.output, page] if settings.html else [settings.output], settings.overwrite
    )
    first = settings.inputs[0]
    if first.is_dir() and matrix_file(first) is not None:
        if len(settings.inputs) > 1:
            msg = f"{first} holds descriptors: give one folder of descriptors, or images"
            raise ValueError(msg)
        compared = of_descriptors(first, settings)
    else:
        compared = of_images(settings, output)
    # groups
    members = group(compared.names, compared.evidence)
    notes = dict.fromkeys(compared.flat, FLAT)
    write_table(settings.output, COLUMNS, rows_of(members, notes, compared.errors))
    words = summary(compared, members)
    if settings.html:
        write_page(members, words, compared.words, page)
    groups: dict[int, list[str]] = {}
    for member in members:
        groups.setdefault(member.group, []).append(member.image)
    output.result(f"{words}; {settings.output}", groups=list(groups.values()))
    output.result(compared.words)
    return 1 if compared.errors else 0


def of_descriptors(folder: Path, settings: Any) -> Compared:
    """Compare the images of a folder of descriptors."""
    from indexing.dedup import Evidence, equal_files
    from models.store import VectorStore

    store = VectorStore.open(folder)
    files = [image.sha256 for image in store.images]
    words, descriptors = compare(store, settings)
    return Compared(store.names, Evidence(equal_files(files), {}, descriptors), words)


def of_images(settings: Any, output: Output) -> Compared:
    """Compare images, and name those that failed or were skipped."""
    from images.inputs import find_images
    from indexing.dedup import Evidence, equal_files, hash_images, near_hashes

    # compare
    found = find_images(settings.inputs)
    hashed = hash_images(found.images)
    evidence = Evidence(equal_files(hashed.digests), near_hashes(hashed))
    words = NO_DESCRIPTORS
    not_described: dict[str, str] = {}
    describes = bool(settings.background) or settings.threshold is not None
    if describes and hashed.names:
        words, not_described = add_descriptors(evidence, hashed.names, settings)
    if hashed.flat:
        words += f" {flat_words(hashed.flat, describes)}"
    # what was left out
    unread = found.failed | hashed.failed
    failed = not_described | unread
    for name, reason in found.skipped.items():
        output.tell(f"skipped {name}: {reason}")
    for reason in failed.values():
        output.error(reason)
    output.result(
        done=len(hashed.names) - len(not_described.keys() - unread.keys()),
        failed=failed,
        skipped=found.skipped,
        not_hashed=hashed.flat,
    )
    full_names = {image.name: image.full_name for image in found.images}
    errors = {full_names.get(name, name): reason for name, reason in failed.items()}
    return Compared(hashed.names, evidence, words, hashed.flat, errors)


def add_descriptors(
    evidence: Evidence, names: Sequence[str], settings: Any
) -> tuple[str, dict[str, str]]:
    """Describe images and add pairs of near descriptors.

    Returns:
        What makes a pair, in words; and the error of each image without a descriptor, by its name.
    """
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
    return f"{words} Equal files and near PDQ hashes are copies, too.", report.job.failed


def flat_words(flat: Sequence[str], described: bool) -> str:
    """Name the images that PDQ cannot compare, in words."""
    named = ", ".join(flat[:MAX_NAMED])
    if len(flat) > MAX_NAMED:
        named += f" and {len(flat) - MAX_NAMED} more"
    means = "by file and descriptor" if described else "by file alone"
    return f"Compared {means}, being too flat for PDQ: {named}."


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


def summary(compared: Compared, members: Sequence[Member]) -> str:
    """Count images and groups, and the images that were not compared in every way, in words."""
    groups = members[-1].group if members else 0
    word = "group" if groups == 1 else "groups"
    words = (
        f"{len(compared.names)} images: {len(members)} in {groups} {word} of copies, "
        f"{len(members) - groups} more than one of each"
    )
    if compared.flat:
        words += f"; {len(compared.flat)} not compared by PDQ, being too flat"
    if compared.errors:
        words += f"; {len(compared.errors)} failed"
    return words


VERB = Verb(
    "Find groups of copies within a collection: a table, and a page with --html.",
    "indexing dedup PHOTOS/ -o groups.csv --html",
    options,
    act,
)

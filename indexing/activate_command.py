"""Options and messages of ``python -m indexing activate``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments, job_options
from indexing.options import extractor_of, extractor_options

if TYPE_CHECKING:
    from models.embedder_config import EmbedderConfig


def options(parser: Parser) -> None:
    """Add the options of ``activate``."""
    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; repeat the command to resume",
    )
    parser.add_argument(
        "--index",
        type=Path,
        nargs="+",
        required=True,
        help="folders of the indices that are to find the photos",
    )
    kinds = Literal["auto", "reconstruction", "centroid", "halfway", "feature"]
    parser.add_argument(
        "--target", type=kinds, default="auto", help="kind of target that descriptors are pulled to"
    )
    parser.add_call("indexing.activation_config:ActivationConfig", "activation")
    extractor_options(parser)
    parser.add_argument(
        "--extractors",
        type=list[str],
        default=[],
        help="names of the indices' networks, if they moved; the rest is as each index records it",
    )
    add_job_arguments(parser, batch_size=16, per_batch="photos optimized together")


def act(settings: Any, output: Output) -> int:
    """Activate photos; return 0 only if every one is activated."""
    from indexing.activate import activate_photos

    report = activate_photos(
        settings.photos,
        settings.output,
        settings.index,
        extractors_of(settings),
        settings.activation,
        settings.target,
        job_options(settings),
    )
    if report is None:
        return 0
    code = output.report(report.job, f"photos in {settings.output}")
    if not report.job.rows:
        return code
    # what became of them, and in which index
    activated = report.activated
    kept = len(report.job.rows) - len(activated)
    mean_psnr = None
    if activated:
        mean_psnr = sum(row["psnr"] for row in activated) / len(activated)
        output.result(f"{len(activated)} activated, PSNR {mean_psnr:.1f} dB on average")
    output.result(psnr=mean_psnr, activated=len(activated))
    for label in report.labels:
        counts = report.counts(label)
        text = (
            f"{label}: a search finds {counts['found']} of {len(report.job.rows)}, and "
            f"{counts['nearer']} of them are nearer to their target"
        )
        output.row("indices", text, index=label, **counts)
    if kept:
        output.warning(f"{kept} not activated: any change loses them, so the originals are kept")
    for index, originals in report.originals.items():
        output.note(f"add the photos to the index: python -m indexing add {index} {originals}")
    return 1 if kept else code


def extractors_of(settings: Any) -> list[EmbedderConfig]:
    """Return the extractor of each index: as recorded, unless the options name another.

    Raises:
        ValueError: If the numbers of names and indices differ.
    """
    from indexing.target_indices import recorded_extractor

    names = settings.extractors or [None] * len(settings.index)
    if len(names) != len(settings.index):
        msg = (
            f"{len(settings.index)} indices and {len(names)} extractors: give one name for each "
            "index, or none"
        )
        raise ValueError(msg)
    extractors = []
    for folder, name in zip(settings.index, names, strict=True):
        config = extractor_of(settings, partial(recorded_extractor, folder))
        extractors.append(replace(config, name=name) if name else config)
    return extractors


VERB = Verb(
    "Make changed copies of photos that an index finds after edits: PNG, at their own size.",
    "indexing activate PHOTOS/ -o OUT/ --index INDEX/",
    options,
    act,
)

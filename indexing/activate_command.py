"""Options and messages of ``python -m indexing activate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments, job_options
from indexing.options import extractor_of, extractor_options


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
        help="one network name for each index, if they differ",
    )
    add_job_arguments(parser, batch_size=16, per_batch="photos optimized together")


def act(settings: Any, output: Output) -> int:
    """Activate photos; return 0 only if every one is activated."""
    from indexing.activate import ORIGINALS, activate_photos

    extractor = extractor_of(settings)
    extractors = [replace(extractor, name=name) for name in settings.extractors] or [extractor]
    report = activate_photos(
        settings.photos,
        settings.output,
        settings.index,
        extractors,
        settings.activation,
        settings.target,
        job_options(settings),
    )
    if report is None:
        return 0
    code = output.report(report, f"activated in {settings.output}")
    if report.rows:
        rows = [row for _, row in report.rows]
        mean_psnr = sum(row["psnr"] or 100.0 for row in rows) / len(rows)
        nearer = sum(row["distance_after"] < row["distance_before"] for row in rows)
        output.result(
            f"PSNR {mean_psnr:.1f} dB on average; {nearer} are nearer to their target",
            psnr=mean_psnr,
            nearer=nearer,
        )
        originals = settings.output / ORIGINALS
        output.note(
            f"add the photos to the index: python -m indexing add {settings.index[0]} {originals}"
        )
    return code


VERB = Verb(
    "Make changed copies of photos that an index finds after edits: PNG, at their own size.",
    "indexing activate PHOTOS/ -o OUT/ --index INDEX/",
    options,
    act,
)

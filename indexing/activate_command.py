"""``python -m indexing activate``: its options, and what people are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb, add_job_arguments, job_options
from indexing.options import IMAGES, extractor_of, extractor_options


def options(parser: Parser) -> None:
    """Add the verb's options."""
    parser.add_argument("photos", type=Path, nargs="+", help=IMAGES)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results; the same command goes on in it")
    parser.add_argument("--index", type=Path, nargs="+", required=True, help="folders of the indices that are to find them")
    kinds = Literal["auto", "reconstruction", "centroid", "halfway", "feature"]
    parser.add_argument("--target", type=kinds, default="auto", help="where descriptors are drawn to")
    parser.add_call("indexing.activation:ActivationConfig", "activation")
    extractor_options(parser)
    parser.add_argument("--extractors", type=list[str], default=[], help="names of one network for each index, where they differ")
    add_job_arguments(parser, batch_size=16, per_batch="photos changed together")


def act(settings: Any, output: Output) -> int:
    """Change the photos; 0 only if every one was changed."""
    from indexing.activate import ORIGINALS, activate_photos

    one = extractor_of(settings)
    extractors = [replace(one, name=name) for name in settings.extractors] or [one]
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
        quality = sum(row["psnr"] or 100.0 for row in rows) / len(rows)
        nearer = sum(row["distance_after"] < row["distance_before"] for row in rows)
        output.result(f"PSNR {quality:.1f} dB on average; {nearer} are nearer to their target", psnr=quality, nearer=nearer)
        output.note(f"so that the index knows them: python -m indexing add {settings.index[0]} {settings.output / ORIGINALS}")
    return code


VERB = Verb(
    "Make changed copies of photos that an index finds again after edits, PNG, at their own size.",
    "indexing activate PHOTOS/ -o OUT/ --index INDEX/",
    options,
    act,
)

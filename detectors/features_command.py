"""Verb ``python -m detectors features``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb, add_job_arguments, job_options


def options(parser: Parser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "source",
        type=str,
        help="training config with a frozen backbone, or a detector: folder or Hub id",
    )
    parser.add_argument(
        "--data",
        type=list[str],
        required=True,
        help="patterns of local shards: '[SHARDS/train-*.tar]'",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the feature shards; the same command continues a stopped run",
    )
    parser.add_argument(
        "--views",
        type=int,
        default=0,
        help="random training views of each image; 0 for the one test view",
    )
    add_job_arguments(parser, batch_size=64, workers=4)


def act(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if every image has features."""
    from detectors.features import extract

    report = extract(
        settings.source, settings.data, settings.output, settings.views, job_options(settings)
    )
    if report is None:
        return 0
    code = output.report(report, f"shards of features in {settings.output}")
    for _, row in report.rows:
        for error in row["failed"].values():
            output.error(error)
            code = 1
    done = sum(row["images"] for _, row in report.rows)
    output.result(f"features of {done} images", images=done)
    return code


VERB = Verb(
    "Precompute the features of a frozen backbone, to train linear layers on.",
    "detectors features DETECTOR/ --data '[data/fake2m/train-*.tar]' -o FEATURES/",
    options,
    act,
)

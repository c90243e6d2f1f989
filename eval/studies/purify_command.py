"""Command ``python -m eval purify``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments, job_options


def options(parser: Parser) -> None:
    """Add the options of ``purify``."""
    add_images(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of the purified images, PNG"
    )
    parser.add_call("eval.attacks.purification:Purifier", "method", subclasses=True)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random draws")
    add_job_arguments(parser, batch_size=4)


def act(settings: Any, output: Output) -> int:
    """Purify the images; return 0 only if all succeeded."""
    from eval.studies.purify import purify_files

    report = purify_files(
        settings.photos,
        settings.output,
        settings.method,
        output.requested["method"],
        settings.seed,
        job_options(settings),
    )
    return 0 if report is None else output.report(report, f"purified in {settings.output}")


VERB = Verb(
    "Remove protections from images by a purification.",
    "eval purify PHOTOS/ -o OUT/ --method Jpeg --method.quality 75",
    options,
    act,
)

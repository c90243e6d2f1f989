"""``python -m eval purify``: its options, and what people are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb, add_images, add_job_arguments, job_options


def options(parser: Parser) -> None:
    """Add the verb's options."""
    add_images(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of the purified images, PNG"
    )
    parser.add_call("eval.attacks.purification:Purifier", "method", subclasses=True)
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")
    add_job_arguments(parser, batch_size=4)


def act(settings: Any, output: Output) -> int:
    """Purify the images; 0 only if every one was."""
    from eval.studies.purify import purify_files

    named = output.requested["method"]
    report = purify_files(
        settings.photos,
        settings.output,
        settings.method,
        named,
        settings.seed,
        job_options(settings),
    )
    return 0 if report is None else output.report(report, f"purified in {settings.output}")


VERB = Verb(
    "Wash protections off images by one of the attacks' purifications.",
    "eval purify PHOTOS/ -o OUT/ --method Jpeg --method.quality 75",
    options,
    act,
)

"""Options and messages of ``python -m rid pairs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import (
    Output,
    Parser,
    Verb,
    add_images,
    add_job_arguments,
    dataclass_from,
    job_options,
)
from rid.pairs.renamed import PAIRS_MOVED, PAIRS_RENAMED


def options(parser: Parser) -> None:
    """Add the options of ``pairs``."""
    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the pairs; repeat the command to resume",
    )
    parser.add_call("rid.pairs.config:PairConfig")
    add_job_arguments(parser, batch_size=None)


def act(settings: Any, output: Output) -> int:
    """Make pairs; return 0 only if every image has one."""
    from rid.pairs.config import PairConfig
    from rid.pairs.job import make_pairs

    config = dataclass_from(settings, PairConfig)
    report = make_pairs(settings.photos, settings.output, config, job_options(settings))
    return 0 if report is None else output.report(report, f"pairs in {settings.output}")


VERB = Verb(
    "Make gradient-attacked versions of images, as training pairs.",
    "rid pairs PHOTOS/ -o OUT/ -c configs/rid/pairs_momentum.yaml",
    options,
    act,
    renamed=PAIRS_RENAMED,
    moved=PAIRS_MOVED,
)

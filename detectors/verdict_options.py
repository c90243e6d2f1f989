"""Options of every verb that gives or shows verdicts."""

from __future__ import annotations

from typing import Literal

from jsonargparse import ArgumentParser

from detectors.crop_rule import Layout
from engine.cli import Parser


def add_gate(parser: ArgumentParser) -> None:
    """Add ``--gate``, also to the parser of LightningCLI."""
    parser.add_argument(
        "--gate",
        type=Literal["on", "off"],
        default="on",
        help="test first whether file headers alone tell the classes apart, and warn; off: do not",
    )


def add_max_fpr(parser: Parser) -> None:
    """Add ``--max-fpr``."""
    parser.add_argument(
        "--max-fpr",
        type=float | None,
        default=None,
        help="largest rate of real images called generated, and of generated ones called real; one "
        "of those that calibrate kept; 0.05 by default",
    )


def add_prevalence(parser: Parser) -> None:
    """Add ``--prevalence``."""
    parser.add_argument(
        "--prevalence",
        type=float | None,
        default=None,
        help="share of generated images among those to judge, which P and the share of wrong "
        "verdicts depend on; P assumes 0.5 by default",
    )


def add_crops(parser: Parser, default: str) -> None:
    """Add ``--crops`` and ``--pool``.

    Args:
        parser: The parser.
        default: Words on what is taken without them.
    """
    parser.add_argument(
        "--crops",
        type=Layout | None,
        default=None,
        help="crops of an image to judge: center, five (corners and center), or tiles that cover "
        f"it; {default} by default",
    )
    parser.add_argument(
        "--pool",
        type=str | None,
        default=None,
        help="how the logits of several crops become one: mean, max, or top-K, the mean of the K "
        "highest; mean by default",
    )

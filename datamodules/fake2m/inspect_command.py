"""Verb ``python -m datamodules inspect``: options and output."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb


def options(parser: Parser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "shards", type=str, nargs="+", help="patterns of local shards: 'SHARDS/train-*.tar'"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of inspection.html and inspection.json",
    )
    parser.add_call(
        "datamodules.fake2m.inspection:inspect_shards", skip={"urls", "output", "scorer"}
    )
    about = "a CLIP's folder or Hub id: compute aesthetic scores (CLIP-IQA) with it"
    parser.add_argument("--clip", type=str | None, default=None, help=about)


def inspect(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if headers do not separate the classes and images are whole."""
    from datamodules.fake2m.inspection import inspect_shards

    scorer = None
    clip = settings.pop("clip")
    if clip is not None:
        from models.clip import ClipMetrics

        scorer = ClipMetrics(clip).quality
    gate, unreadable = inspect_shards(settings.pop("shards"), **settings.as_dict(), scorer=scorer)
    page = settings.output / "inspection.html"
    output.result(gate.verdict() if gate.passed else None, passed=gate.passed, gate=asdict(gate))
    if not gate.passed:
        output.tell(gate.verdict())
    for error in unreadable:
        output.error(error)
    if unreadable:
        words = f"unreadable: {len(unreadable)} of the images that were opened"
        output.result(words, unreadable=unreadable)
    output.result(f"page: {page}", page=page)
    return 0 if gate.passed and not unreadable else 1


VERB = Verb(
    "Show the contents of shards, and test whether headers alone separate real from generated.",
    "datamodules inspect 'SHARDS/train-*.tar' -o OUT/",
    options,
    inspect,
    renamed={"pictures": "images", "most": "max_records"},
)

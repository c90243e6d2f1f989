"""Command ``python -m eval compare``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb


def options(parser: Parser) -> None:
    """Add the options of ``compare``."""
    about = "results of eval personalize, matrix, redteam, retrieval or rag, or of detectors test"
    parser.add_argument("a", type=Path, help=f"run A: {about}")
    parser.add_argument("b", type=Path, help="run B: results of the same kind")
    parser.add_argument("-o", "--output", type=Path, help="file of a page, such as compare.html")


def act(settings: Any, output: Output) -> int:
    """Compare two runs."""
    from engine.files import refuse_existing
    from eval.compare.compared import HEAD
    from eval.compare.runs import compare_runs, write_comparison

    if settings.output is not None:
        refuse_existing(settings.output)
    compared = compare_runs(settings.a, settings.b)
    output.result(compared.headline, headline=compared.headline, kind=compared.kind)
    output.result(compared.pairing, pairing=compared.pairing)
    for words in compared.notes:
        output.warning(words)
    rows = [HEAD, *compared.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        name, *cells = row
        line = [name.ljust(widths[0])]
        line += [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        output.result("  ".join(line).rstrip())
    output.result(figures=compared.figures)
    for name, a, b in compared.settings:
        output.row("settings", f"differs: {name}: {a} | {b}", name=name, a=a, b=b)
    if settings.output is not None:
        write_comparison(compared, settings.a, settings.b, settings.output)
        output.result(f"page: {settings.output}", page=settings.output)
    return 0


VERB = Verb(
    "Compare two results of one kind: paired differences with intervals, and settings that differ.",
    "eval compare RUN_A/ RUN_B/ -o compare.html",
    options,
    act,
)

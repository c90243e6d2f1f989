"""Command ``python -m eval leaderboard``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb


def options(parser: Parser) -> None:
    """Add the options of ``leaderboard``."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        help="folders of eval personalize, matrix or redteam",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of leaderboard.md and leaderboard.html",
    )


def act(settings: Any, output: Output) -> int:
    """Compare the protections of all runs."""
    from eval.reports.leaderboard import write_leaderboard

    boards, warnings = write_leaderboard(settings.results, settings.output)
    for words in warnings:
        output.warning(words)
    for board in boards:
        output.result(board.name)
        for row in board.rows:
            cells = {}
            for place, cell in enumerate(board.cells):
                begin = 1 + 4 * place
                cells[cell] = dict(zip(board.head[1:5], row[begin : begin + 4], strict=True))
            words = "; ".join(
                f"{cell}: ISM {of['ISM']}, ISM - clean (95 %) {of['ISM - clean (95 %)']}"
                for cell, of in cells.items()
            )
            output.row("rows", f"  {row[0]}: {words}", group=board.name, name=row[0], cells=cells)
    page = settings.output / "leaderboard.html"
    output.result(f"page: {page}", page=page)
    return 0


VERB = Verb(
    "Put the protections of several studies into one table: identity, faces, differences, minutes.",
    "eval leaderboard MATRIX/ OUT/ -o LEADERBOARD/",
    options,
    act,
)

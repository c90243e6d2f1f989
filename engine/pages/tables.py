"""Pages with tables that can be sorted and filtered, by mouse or keyboard, and that need nothing beside them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

STYLE = Path(__file__).with_suffix(".css").read_text()
SCRIPT = Path(__file__).with_suffix(".js").read_text()
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What the pages may load: what is in them."""


def page(title: str, body: str) -> str:
    """A whole page.

    Args:
        title: Plain text.
        body: HTML; its tables of class ``sortable``, in a block of class ``scroll``, become sortable where heads have ``data-column``.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main><script>{SCRIPT}</script></body></html>\n"
    )


def table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]], kinds: Sequence[str]) -> str:
    """A sortable table of plain text.

    Args:
        name: What it is called for those who do not see it.
        head: Of the columns.
        rows: The cells.
        kinds: A class for each row.
    """
    heads = "".join(f'<th scope="col" data-column="{column}">{html.escape(cell)}</th>' for column, cell in enumerate(head))
    lines = [
        f'<tr class="{kind}">' + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row, kind in zip(rows, kinds, strict=True)
    ]
    return (
        f'<div class="scroll" role="region" aria-label="{html.escape(name)}" tabindex="0"><table class="sortable">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )

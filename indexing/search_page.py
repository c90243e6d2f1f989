"""What a search found as a page with the pictures."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from engine.files import write_bytes
from images.io import UnreadableImage, data_url, open_photo
from indexing.search import Match

SHOWN, BEST, SIDE = 200, 4, 160

STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "section{display:flex;gap:.8rem;border-top:1px solid #ddd;padding:.8rem 0}figure{width:170px;margin:0}"
    "figcaption{overflow-wrap:anywhere;font-size:12px}img{max-width:100%;display:block}figure:first-child{margin-right:1.5rem}"
)


def write_page(matches: Sequence[Match], queries: int, target: Path) -> None:
    """Write one HTML file that needs nothing beside it, the surest matches first; the pictures travel inside it.

    Args:
        matches: As the search gives them.
        queries: How many pictures were looked for.
        target: The file.
    """
    of: dict[str, list[Match]] = {}
    for match in matches:
        of.setdefault(match.query, []).append(match)
    ordered = sorted(of.items(), key=lambda pair: -pair[1][0].score)
    parts = [f"<h1>{len(of)} of {queries} pictures have matches</h1><p>Left the picture that was looked for, then its nearest entries.</p>"]
    if len(ordered) > SHOWN:
        parts.append(f"<p>The {SHOWN} surest are shown; the table has all.</p>")
    for name, found in ordered[:SHOWN]:
        figures = [_figure(name, "")] + [_figure(m.match, f"{m.rank}. score {m.score:.3f}") for m in found[:BEST]]
        parts.append(f"<section>{''.join(figures)}</section>")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Search</title><style>{STYLE}</style>'
    write_bytes(target, f"{head}{''.join(parts)}</html>\n".encode(errors="replace"))


def _figure(name: str, said: str) -> str:
    caption = "<br>".join(part for part in (html.escape(said), html.escape(Path(name).name)) if part)
    return f"<figure>{_picture(Path(name))}<figcaption title={html.escape(name)!r}>{caption}</figcaption></figure>"


def _picture(path: Path) -> str:
    """The picture, small; a word where its file is no longer there or lies in a shard."""
    try:
        image = Image.fromarray(open_photo(path).rgb)
    except UnreadableImage:
        return "<p>(no picture at this place)</p>"
    buffer = io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(buffer, format="JPEG", quality=85)
    return f'<img src="{data_url(buffer.getvalue(), "jpeg")}" alt="">'

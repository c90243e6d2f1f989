"""What a search found as a page with the images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.pages import shell
from engine.pages.data_urls import image_url
from images.io import UnreadableImage, open_photo

if TYPE_CHECKING:
    from indexing.search import Match

SHOWN, BEST, SIDE = 200, 4, 160


def write_page(matches: Sequence[Match], queries: int, target: Path) -> None:
    """Write one HTML file that needs nothing beside it, the surest matches first.

    Args:
        matches: As the search gives them.
        queries: How many images were looked for.
        target: The file.
    """
    of: dict[str, list[Match]] = {}
    for match in matches:
        of.setdefault(match.query, []).append(match)
    ordered = sorted(of.items(), key=lambda pair: -pair[1][0].score)[:SHOWN]
    groups = [
        [_figure(query, ""), *(_figure(match.match, f"{match.rank}. score {match.score:.3f}") for match in best[:BEST])]
        for query, best in ordered
    ]
    shown = {path: bool(images) for group in groups for _, path, _, images in group}
    shell.write_page(
        target,
        "indexing/search.html",
        found=len(of),
        queries=queries,
        groups=groups,
        files=len(shown),
        lost=sum(not there for there in shown.values()),
    )


def _figure(path: str, said: str) -> tuple[str, str, str, list[tuple[str, str]]]:
    """A file's name, its path, what is said of it, and its image if it is at its place."""
    url = _url(path)
    return Path(path).name, path, said, [(url, path)] if url else []


@lru_cache(maxsize=1024)
def _url(path: str) -> str:
    """An image, small; empty where its file is no longer there or lies in an archive."""
    try:
        return image_url(open_photo(Path(path)).rgb, SIDE, "jpeg")
    except (UnreadableImage, OSError):
        return ""

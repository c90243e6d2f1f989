"""HTML page of search results with their images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.pages import shell
from engine.pages.data_urls import image_url
from images.io import open_photo
from images.kinds import UnreadableImage

if TYPE_CHECKING:
    from indexing.matches import Match

MAX_QUERIES = 200
"""Most queries on the page."""

MATCHES_PER_QUERY = 4

SIDE = 160
"""Longest side of an image on the page, in pixels."""

Figure = tuple[str, str, str, list[tuple[str, str]]]
"""File name, path, caption, and data URL with path if the image is readable."""


def write_page(matches: Sequence[Match], queries: int, target: Path) -> None:
    """Write a self-contained HTML page, best matches first.

    Args:
        matches: Matches by query, then by rank.
        queries: Number of query images.
        target: File to write.
    """
    # best queries first
    by_query: dict[str, list[Match]] = {}
    for match in matches:
        by_query.setdefault(match.query, []).append(match)
    best_first = sorted(by_query.values(), key=lambda matches: -matches[0].score)
    groups = [_group(matches) for matches in best_first[:MAX_QUERIES]]
    # files that can no longer be read
    readable: dict[str, bool] = {}
    for group in groups:
        for _, path, _, images in group:
            readable[path] = bool(images)
    shell.write_page(
        target,
        "indexing/search.html",
        found=len(by_query),
        queries=queries,
        groups=groups,
        files=len(readable),
        lost=list(readable.values()).count(False),
    )


def _group(matches: Sequence[Match]) -> list[Figure]:
    """Build the figures of a query and its best matches."""
    figures = [_figure(matches[0].query, "")]
    for match in matches[:MATCHES_PER_QUERY]:
        figures.append(_figure(match.match, f"{match.rank}. score {match.score:.3f}"))
    return figures


def _figure(path: str, caption: str) -> Figure:
    url = _url(path)
    return Path(path).name, path, caption, [(url, path)] if url else []


@lru_cache(maxsize=1024)
def _url(path: str) -> str:
    """Encode an image as a data URL; empty if unreadable."""
    try:
        return image_url(open_photo(Path(path)).rgb, SIDE, "jpeg")
    except (UnreadableImage, OSError):
        return ""

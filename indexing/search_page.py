"""HTML page of search results: a table, and queries beside their matches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.pages import shell
from engine.pages.data_urls import image_url
from images.io import open_photo
from images.kinds import UnreadableImage

if TYPE_CHECKING:
    from indexing.matches import Match

MAX_QUERIES = 200
"""Most queries with images on the page."""

MAX_ROWS = 2000
"""Most queries in the table of the page."""

MATCHES_PER_QUERY = 4

SIDE = 360
"""Longest side of an image on the page, in pixels."""

KINDS = {"copy": "generated", "unsure": "unsure", "not in the index": "real", "no threshold": ""}
"""Class of a verdict in the stylesheet."""

Images = list[tuple[str, str]]
"""Data URL and path of an image; empty if it cannot be read."""


class Group(NamedTuple):
    """A query and its best matches."""

    verdict: str
    kind: str
    query: str
    images: Images
    matches: list[tuple[str, str, Images]]


def write_page(matches: Sequence[Match], words: str, threshold: str, target: Path) -> None:
    """Write a self-contained HTML page, best matches first.

    Args:
        matches: Matches of each query by rank, the surest query first.
        words: Numbers of verdicts.
        threshold: Description of the threshold.
        target: File to write.
    """
    by_query: dict[str, list[Match]] = {}
    for match in matches:
        by_query.setdefault(match.query, []).append(match)
    queries = list(by_query.values())
    groups = [_group(of_query) for of_query in queries[:MAX_QUERIES]]
    shown = {group.query: bool(group.images) for group in groups}
    for group in groups:
        shown |= {path: bool(images) for path, _, images in group.matches}
    firsts = [of_query[0] for of_query in queries[:MAX_ROWS]]
    shell.write_page(
        target,
        "indexing/search.html",
        words=words,
        threshold=threshold,
        head=["image", "verdict", "score", "similarity", "nearest entry"],
        rows=[_row(first) for first in firsts],
        queries=len(queries),
        groups=groups,
        files=len(shown),
        lost=list(shown.values()).count(False),
    )


def _row(match: Match) -> list[str]:
    """Format a row of the table."""
    numbers = [shell.number(match.score), shell.number(match.similarity)]
    return [match.query, match.verdict, *numbers, match.match or shell.MISSING]


def _group(matches: Sequence[Match]) -> Group:
    """Collect a query and its best matches."""
    first = matches[0]
    shown = []
    for match in matches[:MATCHES_PER_QUERY]:
        if match.rank:
            said = f"{match.rank}. {match.verdict}, score {shell.number(match.score)}"
            shown.append((match.match, said, images_of(match.match)))
    return Group(first.verdict, KINDS[first.verdict], first.query, images_of(first.query), shown)


def images_of(path: str) -> Images:
    """Return an image as a data URL with its path; empty if it cannot be read."""
    url = _url(path)
    return [(url, path)] if url else []


@lru_cache(maxsize=1024)
def _url(path: str) -> str:
    """Encode an image as a data URL; empty if unreadable."""
    try:
        return image_url(open_photo(Path(path)).rgb, SIDE, "jpeg")
    except (UnreadableImage, OSError):
        return ""

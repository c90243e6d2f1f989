"""HTML page of search results: a table, and queries beside their matches."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.pages import shell
from engine.pages.charts import Bars, Scale, histogram
from engine.pages.data_urls import image_url
from images.io import open_photo
from images.kinds import UnreadableImage

if TYPE_CHECKING:
    from indexing.matches import Match
    from indexing.verdicts import Judge

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


class Shown(NamedTuple):
    """A match, its caption and image."""

    path: str
    said: str
    images: Images
    kind: str
    score: float


class Group(NamedTuple):
    """A query and its best matches."""

    verdict: str
    kind: str
    query: str
    images: Images
    matches: list[Shown]


def write_page(matches: Sequence[Match], words: str, judge: Judge, target: Path) -> None:
    """Write a self-contained HTML page, best matches first.

    Args:
        matches: Matches of each query by rank, the surest query first.
        words: Numbers of verdicts.
        judge: What the verdicts are by.
        target: File to write.
    """
    by_query: dict[str, list[Match]] = {}
    for match in matches:
        by_query.setdefault(match.query, []).append(match)
    queries = list(by_query.values())
    groups = [_group(of_query) for of_query in queries[:MAX_QUERIES]]
    shown = {group.query: bool(group.images) for group in groups}
    for group in groups:
        shown |= {match.path: bool(match.images) for match in group.matches}
    firsts = [of_query[0] for of_query in queries]
    scale = scale_of([match.score for match in matches], [judge.unsure, judge.copy])
    shell.write_page(
        target,
        "indexing/search.html",
        words=words,
        threshold=judge.words(),
        scale=scale,
        bars=_bars(firsts, scale),
        head=["image", "verdict", "score", "similarity", "nearest entry"],
        rows=_rows(firsts[:MAX_ROWS]),
        queries=len(queries),
        groups=groups,
        files=len(shown),
        lost=list(shown.values()).count(False),
    )


def scale_of(scores: Sequence[float], thresholds: Sequence[float | None]) -> Scale:
    """Return a scale from 0, or from the least score, to 1, or to the largest."""
    finite = [score for score in scores if math.isfinite(score)]
    marked = [threshold for threshold in thresholds if threshold is not None]
    return Scale(min([0.0, *finite]), max([1.0, *finite]), marked)


def _bars(firsts: Sequence[Match], scale: Scale) -> Bars:
    """Count the queries by the score of their nearest entry."""
    values: dict[str, list[float]] = {kind: [] for kind in KINDS.values()}
    for match in firsts:
        if match.rank:
            values[KINDS[match.verdict]].append(match.score)
    return histogram(values, scale=scale) if any(values.values()) else []


def _rows(firsts: Sequence[Match]) -> list[list[str]]:
    """Format the table: paths without the folder that all queries, or all entries, share."""
    queries = len(_folder([match.query for match in firsts]))
    entries = len(_folder([match.match for match in firsts if match.rank]))
    rows = []
    for match in firsts:
        numbers = [shell.number(match.score), shell.number(match.similarity)]
        nearest = match.match[entries:] or shell.MISSING
        rows.append([match.query[queries:], match.verdict, *numbers, nearest])
    return rows


def _folder(paths: Sequence[str]) -> str:
    """Return what all paths begin with, up to a slash."""
    common = os.path.commonprefix(list(paths))  # noqa: RUF071 - commonpath would shorten "://"
    return common[: common.rfind("/") + 1]


def _group(matches: Sequence[Match]) -> Group:
    """Collect a query and its best matches."""
    first = matches[0]
    shown = []
    for match in matches[:MATCHES_PER_QUERY]:
        if match.rank:
            said = f"{match.rank}. {match.verdict}, score {shell.number(match.score)}"
            kind = KINDS[match.verdict]
            shown.append(Shown(match.match, said, images_of(match.match), kind, match.score))
    return Group(first.verdict, KINDS[first.verdict], first.query, images_of(first.query), shown)


def images_of(path: str) -> Images:
    """Return an image as a data URL with its path; empty if it cannot be read."""
    url = _url(path)
    return [(url, path)] if url else []


@lru_cache(maxsize=1024)
def _url(path: str) -> str:
    """Encode an image as a data URL; empty if unreadable."""
    try:
        return image_url(open_photo(Path(path)).on_white().rgb, SIDE, "jpeg")
    except (UnreadableImage, OSError):
        return ""

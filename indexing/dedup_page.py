"""HTML page of groups of copies with their images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from engine.pages import shell
from indexing.search_page import Shown, images_of, scale_of

if TYPE_CHECKING:
    from indexing.dedup import Member

MAX_GROUPS = 200
"""Most groups on the page."""

MAX_MEMBERS = 12
"""Most images of a group on the page."""


def write_page(members: Sequence[Member], words: str, threshold: str, target: Path) -> None:
    """Write a self-contained HTML page, the largest groups first.

    Args:
        members: Members by group.
        words: Numbers of images and groups.
        threshold: What makes two images copies.
        target: File to write.
    """
    groups = [list(of_group) for _, of_group in groupby(members, lambda member: member.group)]
    shown = []
    for of_group in groups[:MAX_GROUPS]:
        figures = [_figure(member) for member in of_group[:MAX_MEMBERS]]
        shown.append((of_group[0].group, len(of_group), figures))
    similarities = [member.similarity for member in members if member.similarity is not None]
    shell.write_page(
        target,
        "indexing/dedup.html",
        scale=scale_of(similarities, []),
        words=words,
        threshold=threshold,
        groups=shown,
        count=len(groups),
        lost=sum(not figure.images for _, _, figures in shown for figure in figures),
    )


def _figure(member: Member) -> Shown:
    """Return path, caption, image and similarity of a member."""
    said = [member.evidence]
    if member.similarity is not None:
        said.append(f"similarity {shell.number(member.similarity)}")
    if member.pdq is not None:
        said.append(f"PDQ {member.pdq}")
    similarity = math.nan if member.similarity is None else member.similarity
    return Shown(member.image, ", ".join(said), images_of(member.image), "", similarity)

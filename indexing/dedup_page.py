"""HTML page of groups of copies with their images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from engine.pages import shell
from indexing.search_page import Images, images_of

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
    shell.write_page(
        target,
        "indexing/dedup.html",
        words=words,
        threshold=threshold,
        groups=shown,
        count=len(groups),
        lost=sum(not images for _, _, figures in shown for _, _, images in figures),
    )


def _figure(member: Member) -> tuple[str, str, Images]:
    """Return path, caption and image of a member."""
    said = [member.evidence]
    if member.similarity is not None:
        said.append(f"similarity {shell.number(member.similarity)}")
    if member.pdq is not None:
        said.append(f"PDQ {member.pdq}")
    return member.image, ", ".join(said), images_of(member.image)

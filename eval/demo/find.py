"""Tab Find: finds copies in an index, and activates images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from eval.demo.finder import MIN_PSNR_DB, Entry, Finder, Visitor
from eval.demo.image_files import CHANGE, save_full_size, save_thumbnail, stem
from eval.demo.sessions import Sessions
from eval.demo.tab import Given, Tab
from images.io import without_metadata
from images.metrics import amplify_change, max_change_and_psnr
from images.photo import Photo
from images.transforms import PAPER, RGBImage, flatten_suite
from images.transforms.geometry import LongestSide

NAME = "Find"

Gallery = list[tuple[str, str]]
"""Files and captions of a gallery."""

MATCHES_SHOWN = 5
"""Matches shown for each image."""

SEARCH_DEPTH = 100
"""Entries searched for an edited copy."""

FIRST_FOLDER = 1000
"""First number of the folders of a visitor's entries, which stay from search to search."""

MAX_COPY_PIXELS = 1024
"""Longest side of the edited copies."""

MATCH_COLUMNS = ["image", "rank", "entry", "similarity", "verdict"]
EDIT_COLUMNS = ["edit", "before", "activated", "image"]
EDITS = [
    f"{kind} {parameter}".strip().replace("_", " ") for kind, parameter, _ in flatten_suite(PAPER)
]


EXAMPLES = {
    "Example: an edited copy of an entry": ("Search", ["copy.jpg"]),
    "Example: a drawn image that is no entry": ("Search", ["stranger.png"]),
}


def add(
    model: str, sessions: Sessions, entries: Path | None = None, trust_torchscript: bool = False
) -> None:
    """Add the components of the tab.

    Args:
        model: Folder of an index.
        sessions: Visitors' files.
        entries: Zip archive of small images of the entries, by name, for those whose files are not
            on this machine.
        trust_torchscript: See :class:`Finder`.

    Raises:
        FileNotFoundError: See :class:`Finder`.
        ValueError: See :class:`Finder`.
    """
    finder = Finder(Path(model), entries, trust_torchscript)

    def search(given: Given) -> Iterator[tuple[Any, ...]]:
        """Search the images: table, gallery, no files."""
        visitor = given.own(Visitor)
        rows: list[list[str]] = []
        images: Gallery = []
        for number, name, photo in given.each():
            found, shown = _search(finder, visitor, name, photo, partial(given.file, number))
            rows += found
            images += shown
            yield gr.Dataframe(rows, headers=MATCH_COLUMNS), images, []
        given.report.append(f"{len(given.photos)} looked up")
        yield gr.Dataframe(rows, headers=MATCH_COLUMNS), images, []

    def activate(given: Given) -> Iterator[tuple[Any, ...]]:
        """Activate the images: table, gallery, files."""
        visitor = given.own(Visitor)
        rows: list[list[str]] = []
        images: Gallery = []
        activated: list[str] = []
        for _, name, photo in given.each():
            place = partial(given.file, FIRST_FOLDER + len(visitor.files))
            result = _activate(finder, visitor, name, without_metadata(photo), place)
            rows += result.rows
            images += result.images
            activated.append(result.file)
            given.report.append(result.line)
            yield gr.Dataframe(rows, headers=EDIT_COLUMNS), images, activated
        given.report.append(f"{len(given.photos)} activated")
        yield gr.Dataframe(rows, headers=EDIT_COLUMNS), images, activated

    # Lay out the tab.
    gr.Markdown(
        f"Searches images in **{model}** ({finder.index.facts.get('factory')}, "
        f"{len(finder.index)} entries). {finder.judge.words()}\n\n"
        "**Activate** changes an image so that this index finds its edited copies more reliably, "
        f"at {MIN_PSNR_DB:g} dB or better, and adds the original to your private entries until you "
        "leave. The small index that ships with the project holds drawn images, and its network is "
        "not trained on photographs."
    )
    tab = Tab(sessions, "find", "Images", {"Search": search, "Activate": activate}, EXAMPLES)
    table = gr.Dataframe(
        headers=MATCH_COLUMNS, datatype="str", interactive=False, elem_id="find-table"
    )
    gallery = gr.Gallery(label="Images", columns=3, format="png", elem_id="find-shown")
    results = gr.File(
        label="Activated images", file_count="multiple", interactive=False, elem_id="find-made"
    )
    tab.connect(table, gallery, results)


def _search(
    finder: Finder, visitor: Visitor, name: str, photo: Photo, file: Callable[[str], Path]
) -> tuple[list[list[str]], Gallery]:
    """Search an image.

    Returns:
        Rows of the table; the image, and those matches of which there is an image.
    """
    rows: list[list[str]] = []
    seen = photo.on_white().rgb
    gallery: Gallery = [(save_thumbnail(seen, file("query.png")), name)]
    [found] = finder.search(visitor, [seen], MATCHES_SHOWN)
    for rank, entry in enumerate(found, start=1):
        match, rgb = finder.name_and_image(visitor, entry)
        similarity = f"{entry.similarity:.3f}"
        rows.append([name, str(rank), match, similarity, entry.verdict])
        if rgb is not None:
            thumbnail = save_thumbnail(rgb, file(f"match-{rank}.png"))
            gallery.append((thumbnail, f"{rank}. {match}, {similarity}: {entry.verdict}"))
    return rows, gallery


class Activated(NamedTuple):
    """Results of one activated image.

    Attributes:
        rows: Rows of the table.
        images: Images of the gallery.
        file: The activated image.
        line: Line of the report.
    """

    rows: list[list[str]]
    images: Gallery
    file: str
    line: str


def _activate(
    finder: Finder, visitor: Visitor, name: str, photo: Photo, place: Callable[[str], Path]
) -> Activated:
    """Activate an image, and search edited copies before and after."""
    released = Photo(finder.activate(photo), photo.alpha)
    clean, activated = photo.on_white().rgb, released.on_white().rgb

    # Save the images.
    clean_file = save_thumbnail(clean, place("clean.png"))
    file = save_full_size(released, place(f"{stem(name)}-activated.png"))
    change = amplify_change(clean, activated)
    change_file = save_thumbnail(change, place("change.png"))

    # Add the original, and search edited copies of both.
    number = finder.add(visitor, clean, name, clean_file)
    before = _ranks_after_edits(finder, visitor, clean, number)
    after = _ranks_after_edits(finder, visitor, activated, number)
    largest, psnr = max_change_and_psnr(clean, activated)
    line = (
        f"{name}: found first after {after.count(1)} of {len(EDITS)} edits, "
        f"before activation after {before.count(1)}; PSNR {psnr or np.inf:.1f} dB, "
        f"no value changed by more than {largest} of 255 levels"
    )
    rows = []
    for edit, rank_before, rank_after in zip(EDITS, before, after, strict=True):
        rows.append([edit, _rank_text(rank_before), _rank_text(rank_after), name])
    images = [
        (clean_file, f"{name}: clean"),
        (file, f"{name}: activated"),
        (change_file, f"{name}: {CHANGE}"),
    ]
    return Activated(rows, images, file, line)


def _ranks_after_edits(
    finder: Finder, visitor: Visitor, rgb: RGBImage, number: int
) -> list[int | None]:
    """Ranks of a visitor's entry for edited copies of an image.

    None if it is not among the first :data:`SEARCH_DEPTH`.
    """
    small = LongestSide(MAX_COPY_PIXELS)(rgb, np.random.default_rng(0))
    copies = []
    for seed, (_, _, edit) in enumerate(flatten_suite(PAPER)):
        copies.append(edit(small, np.random.default_rng([0, seed])))
    results = finder.search(visitor, copies, SEARCH_DEPTH)
    return [_rank_of(entries, number) for entries in results]


def _rank_of(entries: Sequence[Entry], number: int) -> int | None:
    """Rank of a visitor's entry among search results, from 1."""
    for rank, entry in enumerate(entries, start=1):
        if entry.own and entry.number == number:
            return rank
    return None


def _rank_text(rank: int | None) -> str:
    """Describe a rank in words."""
    if rank is None:
        return "not found"
    return "first" if rank == 1 else f"rank {rank}"

"""Tab Find: finds copies in an index, and activates images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from eval.demo.finder import MIN_PSNR_DB, Entry, Finder, Visitor
from eval.demo.image_files import CHANGE, save_full_size, save_thumbnail, stem
from eval.demo.sessions import Sessions
from images.io import open_photo, without_metadata
from images.kinds import UnreadableImage
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

MAX_COPY_PIXELS = 1024
"""Longest side of the edited copies."""

MATCH_COLUMNS = ["image", "rank", "entry", "distance"]
EDIT_COLUMNS = ["edit", "before", "activated", "image"]
EDITS = [
    f"{kind} {parameter}".strip().replace("_", " ") for kind, parameter, _ in flatten_suite(PAPER)
]


def add(model: str, sessions: Sessions, trust_torchscript: bool = False) -> None:
    """Add the components of the tab.

    Args:
        model: Folder of an index.
        sessions: Visitors' files.
        trust_torchscript: See :class:`Finder`.

    Raises:
        FileNotFoundError: See :class:`Finder`.
        ValueError: See :class:`Finder`.
    """
    finder = Finder(Path(model), trust_torchscript)
    # Lay out the tab.
    gr.Markdown(
        f"Searches images in **{model}** ({finder.index.facts.get('factory')}, "
        f"{len(finder.index)} entries). **Activate** changes an image so that this index finds its "
        f"edited copies more reliably, at {MIN_PSNR_DB:g} dB or better, and adds the original to "
        "your private entries until you leave. The small index that ships with the project holds "
        "drawn images, and its network is not trained on photographs."
    )
    files = sessions.files("Images", "find-files")
    with gr.Row():
        search_button = gr.Button("Search", variant="primary", elem_id="find-search")
        activate_button = gr.Button("Activate", elem_id="find-activate")
    report = gr.Textbox(label="Report", elem_id="find-report")
    table = gr.Dataframe(
        headers=MATCH_COLUMNS, datatype="str", interactive=False, elem_id="find-table"
    )
    gallery = gr.Gallery(label="Images", columns=3, format="png", elem_id="find-shown")
    results = gr.File(
        label="Activated images", file_count="multiple", interactive=False, elem_id="find-made"
    )

    def search(paths: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        """Search the uploaded images: table, gallery, no files, and report."""
        photos, lines = sessions.open(paths, request)
        visitor = sessions.own(request, Visitor)
        folder = sessions.folder(request)
        rows, images = _search(finder, visitor, photos, folder)
        lines.append(f"{len(photos)} looked up")
        return gr.Dataframe(rows, headers=MATCH_COLUMNS), images, [], "\n".join(lines)

    def activate(paths: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        """Activate the uploaded images: table, gallery, files, and report."""
        photos, lines = sessions.open(paths, request)
        visitor = sessions.own(request, Visitor)
        folder = sessions.folder(request)
        rows: list[list[str]] = []
        images: Gallery = []
        activated: list[str] = []
        for name, photo in photos:
            result = _activate(finder, visitor, name, without_metadata(photo), folder)
            rows += result.rows
            images += result.images
            activated.append(result.file)
            lines.append(result.line)
        lines.append(f"{len(photos)} activated")
        return gr.Dataframe(rows, headers=EDIT_COLUMNS), images, activated, "\n".join(lines)

    # Connect the buttons.
    outputs = [table, gallery, results, report]
    search_button.click(search, files, outputs, concurrency_id="models")
    activate_button.click(activate, files, outputs, concurrency_id="models")


def _search(
    finder: Finder, visitor: Visitor, photos: Sequence[tuple[str, Photo]], folder: Path
) -> tuple[list[list[str]], Gallery]:
    """Search images.

    Returns:
        Rows of the table, and each image with those matches whose files can be read.
    """
    rows: list[list[str]] = []
    gallery: Gallery = []
    results = finder.search(visitor, [photo.rgb for _, photo in photos], MATCHES_SHOWN)
    for number, ((name, photo), entries) in enumerate(zip(photos, results, strict=True)):
        gallery.append((save_thumbnail(photo.rgb, folder / f"{number}-query.png"), name))
        for rank, entry in enumerate(entries, start=1):
            match, file = finder.name_and_file(visitor, entry)
            rows.append([name, str(rank), match, f"{entry.distance:.3f}"])
            # An index may outlive its images; the table has the name.
            try:
                rgb = open_photo(file).rgb
            except UnreadableImage:
                continue
            thumbnail = save_thumbnail(rgb, folder / f"{number}-match-{rank}.png")
            gallery.append((thumbnail, f"{rank}. {match}, {entry.distance:.3f}"))
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


def _activate(finder: Finder, visitor: Visitor, name: str, photo: Photo, folder: Path) -> Activated:
    """Activate an image, and search edited copies before and after."""
    clean = photo.rgb
    activated = finder.activate(clean)

    # Save the images.
    base = f"{len(visitor.files)}-{stem(name)}"
    clean_file = save_thumbnail(clean, folder / f"{base}-clean.png")
    file = save_full_size(Photo(activated, photo.alpha), folder / f"{base}-activated.png")
    change = amplify_change(clean, activated)
    change_file = save_thumbnail(change, folder / f"{base}-change.png")

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

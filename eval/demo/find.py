"""The tab that finds copies of pictures in an index, and changes pictures so that they are found more surely."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from eval.demo.finder import QUALITY, Finder, Visitor
from eval.demo.sessions import Sessions
from eval.demo.shown import CHANGE, Levels, thumbnail, whole
from images.io import Photo, UnreadableImage, open_photo, without_metadata
from images.metrics import amplify_change, max_change_and_psnr
from images.transforms import PAPER, flatten_suite
from images.transforms.geometry import LongestSide

NAME = "Find"
Shown = list[tuple[str, str]]
"""Files and captions of a gallery."""

FIRST = 5
"""Matches that are shown of each picture."""

PLACES = 100
"""How far down the list a picture is looked for after an edit."""

LARGEST = 1024
"""Longest side of the copies that are edited and looked up."""

FOUND = ["picture", "place", "entry", "distance"]
COMPARED = ["edit", "as it was", "activated", "picture"]
EDITS = [
    f"{kind} {parameter}".strip().replace("_", " ") for kind, parameter, _ in flatten_suite(PAPER)
]


def add(model: str, sessions: Sessions, trust_torchscript: bool = False) -> None:
    """Put the tab's parts into the open tab.

    Args:
        model: Folder of an index.
        sessions: Keeps the visitors' files.
        trust_torchscript: Of :class:`Finder`.

    Raises:
        FileNotFoundError: See :class:`Finder`.
        ValueError: See :class:`Finder`.
    """
    finder = Finder(Path(model), trust_torchscript)
    gr.Markdown(
        f"Looks pictures up in **{model}** ({finder.index.facts.get('factory')}, {len(finder.index)} entries). **Activate** changes a "
        f"picture so that this index finds it more surely after edits, at {QUALITY:g} dB or better, and enters the original for as long as "
        "you stay. The small index that ships with the project holds drawn pictures, and its network knows little of photographs."
    )
    files = sessions.files("Pictures", "find-files")
    with gr.Row():
        look_up = gr.Button("Search", variant="primary", elem_id="find-search")
        change = gr.Button("Activate", elem_id="find-activate")
    report = gr.Textbox(label="What was done", elem_id="find-report")
    table = gr.Dataframe(headers=FOUND, datatype="str", interactive=False, elem_id="find-table")
    shown = gr.Gallery(label="Pictures", columns=3, format="png", elem_id="find-shown")
    made = gr.File(
        label="Activated pictures", file_count="multiple", interactive=False, elem_id="find-made"
    )

    def searched(paths: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        photos, refused = sessions.open(paths, request)
        rows, pictures = _search(
            finder, sessions.own(request, Visitor), photos, sessions.folder(request)
        )
        return (
            gr.Dataframe(rows, headers=FOUND),
            pictures,
            [],
            "\n".join([*refused, f"{len(photos)} looked up"]),
        )

    def activated(paths: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        photos, said = sessions.open(paths, request)
        folder, rows, pictures, results = sessions.folder(request), [], [], []
        for name, photo in photos:
            done = _activate(
                finder, sessions.own(request, Visitor), name, without_metadata(photo), folder
            )
            rows += done.rows
            pictures += done.shown
            results.append(done.file)
            said.append(done.said)
        return (
            gr.Dataframe(rows, headers=COMPARED),
            pictures,
            results,
            "\n".join([*said, f"{len(photos)} activated"]),
        )

    look_up.click(searched, files, [table, shown, made, report], concurrency_id="models")
    change.click(activated, files, [table, shown, made, report], concurrency_id="models")


def _search(
    finder: Finder, visitor: Visitor, photos: Sequence[tuple[str, Photo]], folder: Path
) -> tuple[list[list[str]], Shown]:
    """Rows of the table, and each picture with the matches whose pictures are there."""
    rows: list[list[str]] = []
    shown: Shown = []
    found = finder.search(visitor, [photo.rgb for _, photo in photos], FIRST)
    for number, ((name, photo), entries) in enumerate(zip(photos, found, strict=True)):
        shown.append((thumbnail(photo.rgb, folder / f"{number}-query.png"), name))
        for place, entry in enumerate(entries, start=1):
            match, file = finder.named(visitor, entry)
            rows.append([name, str(place), match, f"{entry.distance:.3f}"])
            try:
                picture = thumbnail(open_photo(file).rgb, folder / f"{number}-match-{place}.png")
            except UnreadableImage:
                continue  # an index outlives its pictures; the table has the name
            shown.append((picture, f"{place}. {match}, {entry.distance:.3f}"))
    return rows, shown


class Activated(NamedTuple):
    """What came of a picture: rows of the table, pictures, the file, and a line for the report."""

    rows: list[list[str]]
    shown: Shown
    file: str
    said: str


def _activate(finder: Finder, visitor: Visitor, name: str, photo: Photo, folder: Path) -> Activated:
    clean, changed = photo.rgb, finder.activate(photo.rgb)
    stem = f"{len(visitor.files)}-{name.rsplit('.', 1)[0]}"
    kept = thumbnail(clean, folder / f"{stem}-clean.png")
    file = whole(Photo(changed, photo.alpha), folder / f"{stem}-activated.png")
    change = thumbnail(amplify_change(clean, changed), folder / f"{stem}-change.png")
    own = finder.remember(visitor, clean, name, kept)
    before, after = (_places(finder, visitor, rgb, own) for rgb in (clean, changed))
    largest, psnr = max_change_and_psnr(clean, changed)
    said = (
        f"{name}: found first after {after.count(1)} of {len(EDITS)} edits, as it was after {before.count(1)}; "
        f"PSNR {psnr or np.inf:.1f} dB, no value changed by more than {largest} of 255 levels"
    )
    rows = [
        [edit, _said(one), _said(two), name]
        for edit, one, two in zip(EDITS, before, after, strict=True)
    ]
    return Activated(
        rows,
        [(kept, f"{name}: as it was"), (file, f"{name}: activated"), (change, f"{name}: {CHANGE}")],
        file,
        said,
    )


def _places(finder: Finder, visitor: Visitor, rgb: Levels, own: int) -> list[int | None]:
    """At which place each edited copy finds the visitor's entry; None where it is not among the first :data:`PLACES`."""
    small = LongestSide(LARGEST)(rgb, np.random.default_rng(0))
    copies = [
        edit(small, np.random.default_rng([0, number]))
        for number, (_, _, edit) in enumerate(flatten_suite(PAPER))
    ]
    found = finder.search(visitor, copies, PLACES)
    return [
        next(
            (place for place, entry in enumerate(entries, 1) if entry.own and entry.number == own),
            None,
        )
        for entries in found
    ]


def _said(place: int | None) -> str:
    if place is None:
        return "not found"
    return "first" if place == 1 else f"place {place}"

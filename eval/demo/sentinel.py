"""The tab that plants a sentinel and reads keys back."""

from __future__ import annotations

import secrets
from typing import Any

import gradio as gr
import numpy as np
import torch

from eval.demo.sessions import Sessions
from eval.demo.shown import Levels, thumbnail, whole
from images.io import Photo, without_metadata
from sentinels.keys import KeyMaker
from sentinels.plate import set_key
from sentinels.reader import Reader, load_reader, reads_as

NAME = "Sentinel"
ATTEMPTS = 4
"""Keys and places that are tried until the reader can read one."""

COLUMNS = ["picture", "key", "read back"]


def add(model: str, sessions: Sessions) -> None:
    """Put the tab's parts into the open tab.

    Args:
        model: Network that reads keys, a folder or Hub id.
        sessions: Keeps the visitors' files.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is not one that reads.
    """
    reader = load_reader(model)
    gr.Markdown(
        "**Plant** sets a random key into a copy of a picture, as sentinels of a collection have one. **Read** says which letters are in "
        f"a picture, such as one that a generator drew; **{model}** reads. The small weights that ship with the project know this "
        "lettering only."
    )
    files = sessions.files("Pictures", "sentinel-files")
    with gr.Row():
        plant = gr.Button("Plant", variant="primary", elem_id="sentinel-plant")
        read = gr.Button("Read", elem_id="sentinel-read")
    report = gr.Textbox(label="What was done", elem_id="sentinel-report")
    table = gr.Dataframe(
        headers=COLUMNS, datatype="str", interactive=False, elem_id="sentinel-table"
    )
    shown = gr.Gallery(
        label="Sources and sentinels", columns=2, format="png", elem_id="sentinel-shown"
    )
    made = gr.File(
        label="Sentinels", file_count="multiple", interactive=False, elem_id="sentinel-made"
    )

    def planted(paths: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        photos, said = sessions.open(paths, request)
        folder, rows, pictures, sentinels = sessions.folder(request), [], [], []
        for number, (name, photo) in enumerate(photos):
            clean = without_metadata(photo).rgb
            try:
                sentinel, key, found = sentinel_of(clean, reader)
            except ValueError as error:
                said.append(f"{name}: {error}")
                continue
            sentinels.append(
                whole(Photo(sentinel), folder / f"{number}-{name.rsplit('.', 1)[0]}-sentinel.png")
            )
            pictures += [
                (thumbnail(clean, folder / f"{number}-source.png"), f"{name}: source"),
                (sentinels[-1], f"{name}: with {key}"),
            ]
            rows.append([name, key, found or "nothing"])
            if not reads_as(found, key):
                said.append(
                    f"{name}: {key} could not be read back in {ATTEMPTS} attempts; a collection would not get this sentinel"
                )
        return rows, pictures, sentinels, "\n".join([*said, f"{len(sentinels)} planted"])

    def letters(paths: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        photos, said = sessions.open(paths, request)
        folder, rows, pictures = sessions.folder(request), [], []
        for number, (name, photo) in enumerate(photos):
            found = written(photo.rgb, reader) or "nothing"
            rows.append([name, "", found])
            pictures.append(
                (thumbnail(photo.rgb, folder / f"{number}-read.png"), f"{name}: {found} read")
            )
        return rows, pictures, [], "\n".join([*said, f"{len(photos)} read"])

    plant.click(planted, files, [table, shown, made, report], concurrency_id="models")
    read.click(letters, files, [table, shown, made, report], concurrency_id="models")


def sentinel_of(rgb: Levels, reader: Reader) -> tuple[Levels, str, str]:
    """A sentinel of a picture, (H, W, 3), its key, and what is read in it; the last attempt if no key can be read.

    Raises:
        ValueError: If the picture is too small.
    """
    keys = KeyMaker()
    for attempt in range(ATTEMPTS):
        key = keys.draw(str(attempt))
        sentinel = set_key(rgb, key, np.random.default_rng(secrets.randbits(64))).rgb
        found = written(sentinel, reader)
        if reads_as(found, key):
            break
    return sentinel, key, found


@torch.inference_mode()
def written(rgb: Levels, reader: Reader) -> str:
    """What is read in a picture, (H, W, 3)."""
    return reader(Photo(rgb).tensor()[None])[0]

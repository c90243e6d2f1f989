"""Tab Sentinel: plants a sentinel, and reads keys."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
import torch

from eval.demo.image_files import save_full_size, save_thumbnail, stem
from eval.demo.sessions import Sessions
from eval.demo.tab import Given, Tab
from images.io import without_metadata
from images.photo import Photo
from images.transforms import RGBImage
from sentinels.keys import KeyMaker
from sentinels.plate import set_key
from sentinels.reader import Reader, load_reader, reader_name, reads_as
from sentinels.view import retriever_view

NAME = "Sentinel"

EXAMPLES = {
    "Example: plant in a drawn portrait": ("Plant", ["portrait.png"]),
    "Example: read a sentinel": ("Read", ["sentinel.png"]),
}

MAX_ATTEMPTS = 4
"""Keys and positions that are tried until the reader can read the key."""

COLUMNS = ["image", "key", "read back"]


def add(model: str, sessions: Sessions) -> None:
    """Add the components of the tab.

    Args:
        model: What reads keys; see :func:`sentinels.reader.load_reader`.
        sessions: Visitors' files.

    Raises:
        FileNotFoundError: If the model is missing.
        ValueError: If it cannot read text.
    """
    reader = load_reader(model)
    name = reader_name(model)

    def plant(given: Given) -> Iterator[tuple[Any, ...]]:
        """Plant keys in the images: table, gallery, files."""
        rows: list[list[str]] = []
        images: list[tuple[str, str]] = []
        sentinels: list[str] = []
        for number, name, photo in given.each():
            clean = without_metadata(photo).rgb
            # Images too small for a key are reported.
            try:
                sentinel, key, text = plant_key(clean, reader)
            except ValueError as error:
                given.report.append(f"{name}: {error}")
                continue
            made = given.file(number, f"{stem(name)}-sentinel.png")
            file = save_full_size(Photo(sentinel), made)
            sentinels.append(file)
            source = save_thumbnail(clean, given.file(number, "source.png"))
            images += [(source, f"{name}: source"), (file, f"{name}: with {key}")]
            rows.append([name, key, text or "nothing"])
            if not reads_as(text, key):
                given.report.append(
                    f"{name}: {key} could not be read back in {MAX_ATTEMPTS} attempts; "
                    "a collection would not get this sentinel"
                )
            yield rows, images, sentinels
        given.report.append(f"{len(sentinels)} planted")
        yield rows, images, sentinels

    def read(given: Given) -> Iterator[tuple[Any, ...]]:
        """Read the images: table, gallery, no files."""
        rows: list[list[str]] = []
        images: list[tuple[str, str]] = []
        for number, name, shown in given.each():
            photo = shown.on_white()
            text = read_text(photo.rgb, reader) or "nothing"
            rows.append([name, "", text])
            thumbnail = save_thumbnail(photo.rgb, given.file(number, "read.png"))
            images.append((thumbnail, f"{name}: {text} read"))
            yield rows, images, []
        given.report.append(f"{len(given.photos)} read")
        yield rows, images, []

    # Lay out the tab.
    gr.Markdown(
        "**Plant** writes a random key into a copy of an image, as the sentinels of a collection "
        "have it. **Read** reads the letters in an image, for example one from a generator; "
        f"**{name}** reads. The small weights that ship with the project read this lettering only."
    )
    tab = Tab(sessions, "sentinel", "Images", {"Plant": plant, "Read": read}, EXAMPLES)
    table = gr.Dataframe(
        headers=COLUMNS, datatype="str", interactive=False, elem_id="sentinel-table"
    )
    gallery = gr.Gallery(
        label="Sources and sentinels", columns=2, format="png", elem_id="sentinel-shown"
    )
    results = gr.File(
        label="Sentinels", file_count="multiple", interactive=False, elem_id="sentinel-made"
    )
    tab.connect(table, gallery, results)


def plant_key(rgb: RGBImage, reader: Reader) -> tuple[RGBImage, str, str]:
    """Plant a random key in an image (H, W, 3).

    Returns:
        The sentinel (H, W, 3), its key, and the text read in it; the last attempt if no key can be
        read.

    Raises:
        ValueError: If the image is too small.
    """
    keys = KeyMaker()
    for attempt in range(MAX_ATTEMPTS):
        key = keys.draw(str(attempt))
        sentinel = set_key(rgb, key, np.random.default_rng(secrets.randbits(64))).rgb
        text = read_text(retriever_view(Photo(sentinel)), reader)
        if reads_as(text, key):
            break
    return sentinel, key, text


@torch.inference_mode()
def read_text(rgb: RGBImage, reader: Reader) -> str:
    """Read the text in an image (H, W, 3)."""
    return reader(Photo(rgb).tensor()[None])[0]

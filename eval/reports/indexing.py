"""Active indexing on the demo's page: figures and images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.pages.data_urls import strip_url
from engine.pages.shell import MISSING, in_brackets, p_value
from engine.records import read_json
from engine.tables import read_table
from images.io import open_photo
from images.metrics import amplify_change

ARMS = ("unchanged", "activated")

EDIT_HEAD = [
    "edit",
    "unchanged (95 %)",
    "activated (95 %)",
    "difference",
    "95 % interval",
    "Holm's p",
]
"""Columns of the table of edits."""


def indexing_section(folder: Path, shown: int = 4) -> dict[str, Any] | None:
    """Collect figures and images of a study.

    Args:
        folder: Folder with ``retrieval/`` as written by ``python -m eval retrieval`` for the arms
            unchanged and activated, ``active/`` of ``python -m indexing activate``, and
            ``pictures/originals/``.
        shown: Number of images shown, the first ones.

    Returns:
        Values of the page; None if the folder holds no finished study.
    """
    file = folder / "retrieval" / "summary.json"
    if not file.is_file():
        return None
    summary = read_json(file, dict[str, Any])
    arms = summary["arms"]
    difference = summary["differences"]["activated - unchanged"]

    # One row for each edit.
    edits = []
    for unchanged, activated, gain in zip(
        arms["unchanged"]["edits"], arms["activated"]["edits"], difference["edits"], strict=True
    ):
        edits.append(_edit_row(unchanged, activated, gain))

    # One row of images for each of the first originals.
    released = read_table(folder / "active" / "activated.csv")
    hits = {
        arm: _hits_by_image(folder / "retrieval" / arm / "retr_df.csv", len(edits)) for arm in ARMS
    }
    rows = []
    for index, row in enumerate(released[:shown]):
        rows.append(_images_of(folder, row) | {arm: hits[arm][index] for arm in ARMS})

    psnr = [float(row["psnr"]) for row in released if row["psnr"]]  # of changed images
    return {
        "pictures": summary["pictures"],
        "edits": edits,
        "head": EDIT_HEAD,
        "comparisons": summary.get("comparisons", len(edits)),
        "means": {arm: arms[arm]["mean"] for arm in ARMS},
        "gain": difference["mean"],
        "psnr": float(np.mean(psnr)),
        "least": min(psnr),
        "levels": max(int(row["levels"]) for row in released),
        "rows": rows,
    }


def _edit_row(
    unchanged: Mapping[str, Any], activated: Mapping[str, Any], gain: Mapping[str, Any]
) -> list[str]:
    """Format the recall after one edit, and its gain."""
    interval = gain.get("interval")
    adjusted = gain.get("p_holm")
    recalls = []
    for arm in (unchanged, activated):
        bounds = in_brackets(arm.get("recall_at_1_interval"), ".2f")
        recalls.append(f"{arm['recall_at_1']:.2f}{bounds}")
    return [
        f"{unchanged['attack'].replace('_', ' ')} {unchanged['attack_param']}".strip(),
        *recalls,
        f"{gain['recall_at_1']:+.2f}",
        "{:+.2f} to {:+.2f}".format(*interval) if interval else MISSING,
        MISSING if adjusted is None else p_value(adjusted),
    ]


def _images_of(folder: Path, row: dict[str, str]) -> dict[str, Any]:
    """Show an original, its released form, and their difference."""
    original = open_photo(folder / "pictures" / "originals" / row["source"]).rgb
    released = open_photo(folder / "active" / row["output"]).rgb
    return {
        "name": row["source"],
        "psnr": float(row["psnr"]),
        "original": strip_url([original]),
        "released": strip_url([released]),
        "difference": strip_url([amplify_change(original, released)]),
    }


def _hits_by_image(file: Path, edits: int) -> list[int]:
    """Number of edits after which each image's original is found first."""
    hits = [int(row["r@1"]) for row in read_table(file)]
    return [sum(hits[start : start + edits]) for start in range(0, len(hits), edits)]

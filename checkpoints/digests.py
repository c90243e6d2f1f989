"""The sha256 of a model folder's weights, saved beside them to detect damage."""

from __future__ import annotations

import re
from pathlib import Path

from checkpoints.folders import WEIGHTS
from engine.files import file_digest, open_for_reading, write_text

DIGEST = "model.sha256"


def write_digest(folder: Path) -> None:
    """Write the sha256 of a model folder's weights, in the format of ``sha256sum -c``."""
    write_text(folder / DIGEST, f"{file_digest(folder / WEIGHTS)}  {WEIGHTS}\n")


def check_digest(folder: Path) -> None:
    """Compare the weights of a model folder with the sha256 beside them.

    Folders without a recorded sha256 pass.

    Raises:
        ValueError: If the hashes differ.
    """
    file = folder / DIGEST
    if not file.is_file():
        return
    with open_for_reading(file) as stream:
        recorded = re.match(rb"[0-9a-f]{64}\b", stream.read(80))
    if recorded is None or file_digest(folder / WEIGHTS) != recorded[0].decode():
        msg = (
            f"{folder / WEIGHTS} is damaged or was replaced: "
            f"its sha256 is not the one in {DIGEST}. Get the model again; "
            f"if you replaced the weights yourself, delete {file}"
        )
        raise ValueError(msg)

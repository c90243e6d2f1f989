"""The sha256 of a folder's weights, kept beside them so that damage is noticed."""

from __future__ import annotations

import re
from pathlib import Path

from checkpoints.folders import WEIGHTS
from engine.files import file_digest, open_for_reading, write_text

DIGEST = "model.sha256"


def write_digest(folder: Path) -> None:
    """Keep the sha256 of a model folder's weights; ``sha256sum -c model.sha256`` checks it, too."""
    write_text(folder / DIGEST, f"{file_digest(folder / WEIGHTS)}  {WEIGHTS}\n")


def check_digest(folder: Path) -> None:
    """Compare the weights in a model folder with the sha256 beside them; folders without one pass.

    Raises:
        ValueError: If they differ.
    """
    file = folder / DIGEST
    if not file.is_file():
        return
    with open_for_reading(file) as stream:
        said = re.match(rb"[0-9a-f]{64}\b", stream.read(80))
    if said is None or file_digest(folder / WEIGHTS) != said[0].decode():
        msg = (
            f"{folder / WEIGHTS} is damaged or was replaced: "
            f"its sha256 is not the one in {DIGEST}. Get the model again; "
            f"if you replaced the weights yourself, delete {file}"
        )
        raise ValueError(msg)

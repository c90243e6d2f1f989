"""Portraits as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from engine.files import write_text
from images.io import save_png, to_uint8
from images.photo import Photo
from tiny.identity import EVALUATION_START
from tiny.portraits import draw


def export_portraits(
    output: Path,
    people: int = 10,
    pictures: int = 12,
    size: int = 64,
    first: int = EVALUATION_START,
) -> int:
    """Write ``OUTPUT/IDENTITY/NN.png`` and ``OUTPUT/portraits.json`` with every picture's caption and attributes.

    Args:
        output: Folder to write to.
        people: How many identities.
        pictures: Pictures of each.
        size: Side in pixels, 64 to 512.
        first: First identity number; 1000000 and above are never trained on.

    Returns:
        How many pictures were written.
    """
    rows = []
    for person in range(first, first + people):
        drawn = draw([person] * pictures, list(range(pictures)), size)
        for index, levels in enumerate(to_uint8(drawn.images)):
            name = f"{person:07d}/{index:02d}.png"
            save_png(Photo(levels.permute(1, 2, 0).numpy()), output / name)
            facts = {"identity": asdict(drawn.people[index]), "scene": asdict(drawn.scenes[index])}
            rows.append(
                {
                    "image_file": name,
                    "caption": drawn.captions[index],
                    "box": drawn.boxes[index].tolist(),
                }
                | facts
            )
    write_text(output / "portraits.json", json.dumps(rows, indent=1) + "\n")
    return len(rows)

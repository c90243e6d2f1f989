"""Export of portraits as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from engine.files import write_text
from engine.manifest import claim, write_manifest
from images.io import save_png, to_rgb, to_uint8
from images.photo import Photo
from tiny.identity import EVALUATION_START, check_range
from tiny.portraits import check_side, draw

PORTRAITS = "tiny portraits"
"""Command of the folder."""


def export_portraits(
    output: Path,
    people: int = 10,
    pictures: int = 12,
    size: int = 64,
    first: int = EVALUATION_START,
) -> int:
    """Write ``OUTPUT/IDENTITY/NN.png`` and ``OUTPUT/portraits.json``.

    The JSON file holds every image's caption and attributes.

    Args:
        output: Folder to write to.
        people: Number of identities.
        pictures: Images of each identity.
        size: Side in pixels, 64 to 512.
        first: First identity number; 1000000 and above are never trained on.

    Returns:
        Number of images.

    Raises:
        ValueError: If a number is out of its range, or the folder holds other files or portraits of
            other settings.
    """
    check_range(first, people)
    check_side(size)
    if people < 1 or pictures < 1 or first < 0:
        msg = (
            "people and pictures must be at least 1 and first at least 0, "
            f"got {people}, {pictures} and {first}"
        )
        raise ValueError(msg)
    settings = {"people": people, "pictures": pictures, "size": size, "first": first}
    claim(output, PORTRAITS, settings)
    rows = []
    for person in range(first, first + people):
        portraits = draw([person] * pictures, list(range(pictures)), size)
        for index, image in enumerate(to_uint8(portraits.images)):
            name = f"{person:07d}/{index:02d}.png"
            save_png(Photo(to_rgb(image)), output / name)
            row = {
                "image_file": name,
                "caption": portraits.captions[index],
                "box": portraits.boxes[index].tolist(),
                "identity": asdict(portraits.people[index]),
                "scene": asdict(portraits.scenes[index]),
            }
            rows.append(row)
    write_text(output / "portraits.json", json.dumps(rows, indent=1) + "\n")
    counts = {"portraits": len(rows)}
    write_manifest(output, command=PORTRAITS, finished=True, settings=settings, counts=counts)
    return len(rows)

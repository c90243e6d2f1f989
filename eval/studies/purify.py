"""``python -m eval purify``: one purification over a folder of pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from engine.files import write_bytes
from engine.manifest import claim, write_manifest
from eval.attacks.purification import Purifier
from images.inputs import find_images, guard, inputs_digest
from images.io import UnreadableImage, encode_photo, to_levels
from images.outputs import output_names
from models.drawing import check_device


def purify_files(photos: Sequence[Path], output: Path, method: Purifier, named: dict[str, Any], seed: int, device: str) -> int:
    """Purify every picture and save it as PNG at its own size; those that are in the folder already are left as they are.

    Args:
        photos: Folders, pictures, shards (.tar) and lists (.txt).
        output: Folder of the results.
        method: The purification.
        named: Its class and settings, for the record.
        seed: Every picture has a seed of its own derived from it and from its place in the list.
        device: Where models run.

    Returns:
        How many pictures could not be read.

    Raises:
        FileNotFoundError: If there are no pictures.
        ValueError: If the folder is an input, or holds other pictures or pictures purified otherwise.
    """
    check_device(device)
    found = find_images(photos)
    files, names = found.images, output_names(found.images, "png")
    guard(output, photos, files, [output / name for name in names.values()])
    settings = {"method": named, "seed": seed, "inputs": inputs_digest(files)}
    claim(output, "eval purify", settings)
    method.to(device)
    for error in found.failed.values():
        print(f"error: {error}", file=sys.stderr)
    failed = len(found.failed)
    for number, file in enumerate(tqdm(files, desc="purify", unit="picture", disable=None)):
        target = output / names[file.name]
        if target.is_file():
            continue
        try:
            photo = file.open()
        except UnreadableImage as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        source = torch.Generator().manual_seed(seed * 1_000_003 + number)
        levels = to_levels(method(photo.tensor().unsqueeze(0), source))[0].permute(1, 2, 0).cpu().numpy()
        write_bytes(target, encode_photo(replace(photo, rgb=levels)))
    counts = {"pictures": len(files) + len(found.failed), "failed": failed}
    write_manifest(output, command="eval purify", settings=settings, finished=True, counts=counts)
    return failed

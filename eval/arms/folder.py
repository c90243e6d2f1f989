"""Arm: images that another program protected."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.identities import Person, SourceImage
from engine.files import file_digest
from engine.manifest import describe
from eval.arms.arm import Arm
from images.io import list_images, open_photo
from images.transforms.squares import center_square
from rid.lineage import UNKNOWN, Lineage


class Folder(Arm):
    """Protected files of any program.

    The folder has a sub-folder for each person, with a file for each image to protect. A file has
    the image's name; its ending may differ. It has the size of the image file, or of the square
    that the study takes from it. No bound is assumed: the study measures it.

    Args:
        path: The folder.
        person: Name of the one person whose files lie in the folder itself; null for a sub-folder
            for each person.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
    """

    def __init__(self, path: str, person: str | None = None) -> None:
        self.path = path
        self.person = person
        _ = self.files  # a wrong path ends the command at once

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Image files by path below the folder, without ending."""
        root = Path(self.path)
        if not root.is_dir():
            msg = f"{root}: no such folder of protected images"
            raise FileNotFoundError(msg)
        files: dict[str, list[Path]] = {}
        for file in list_images(root)[0]:
            files.setdefault(file.relative_to(root).with_suffix("").as_posix(), []).append(file)
        return files

    @property
    def description(self) -> str:
        return "files of another program; their bound is measured"

    @property
    def budget(self) -> None:
        return None

    @property
    def lineage(self) -> Lineage:
        return UNKNOWN

    @property
    def folders(self) -> list[Path]:
        return [Path(self.path)]

    def check(self, person: Person) -> None:
        self._open(person)

    def change(self, person: Person, seed: int) -> Tensor:
        return self._open(person).to(person["train"])

    def record(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for name, files in sorted(self.files.items()):
            for file in files:
                digest.update(f"{name}\0{file_digest(file)}\0".encode())
        return describe(self) | {"sha256": digest.hexdigest()}

    def _open(self, person: Person) -> Tensor:
        """Open the protected images of a person, (B, 3, S, S) in [0, 1].

        Raises:
            FileNotFoundError: If one is missing.
            ValueError: If one is there twice, or of another size.
        """
        if "sources" not in person:
            msg = (
                f"{self.path}: these people's images have no names to match files with; use "
                "datamodules.identities.IdentityFolders"
            )
            raise ValueError(msg)
        side = person["train"].shape[-1]
        images = [self._open_one(person["name"], source, side) for source in person["sources"]]
        return torch.stack(images)

    def file_of(self, person: str, name: str) -> Path:
        """Find the protected file of one image.

        Args:
            person: Name of the person.
            name: Path of the image in the person's folder, without ending.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is there twice.
        """
        path = name if person == self.person else f"{person}/{name}"
        found = self.files.get(path, [])
        if not found:
            msg = f"{self.path}: no protected file {path}.png, or of another image ending"
            raise FileNotFoundError(msg)
        if len(found) > 1:
            msg = f"{found[0]} and {found[1].name}: two protected files of one image; keep one"
            raise ValueError(msg)
        return found[0]

    def _open_one(self, person: str, source: SourceImage, side: int) -> Tensor:
        """Open the protected file of one image, (3, side, side)."""
        file = self.file_of(person, source.name)
        rgb = open_photo(file).rgb
        height, width = rgb.shape[:2]
        if (height, width) not in {(source.height, source.width), (side, side)}:
            msg = (
                f"{file}: {width} x {height} pixels, but the image is {source.width} x "
                f"{source.height}, and its square in this study {side} x {side}"
            )
            raise ValueError(msg)
        return center_square(rgb, side)

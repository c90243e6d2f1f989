"""People with several pictures each, one person at a time: what personalization attacks work on."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from images.io import list_images, open_photo
from images.transforms.differentiable import resize_center_crop


class Person(TypedDict):
    """One identity: the pictures to be protected and attacked, (n, 3, S, S), and others that show who it is, (m, 3, S, S).

    RGB in [0, 1].
    """

    name: str
    train: Tensor
    reference: Tensor


class IdentityDataset(Sized, Protocol):
    """Anything that hands out persons by number."""

    def __getitem__(self, index: int) -> Person: ...


def as_people(dataset: Any) -> IdentityDataset:
    """The same data set, known to hold persons.

    Raises:
        ValueError: If it is empty or its first item is no :class:`Person`.
    """
    if len(dataset) == 0 or set(dataset[0]) != set(Person.__annotations__):
        msg = (
            f"people must be a data set of persons, such as datamodules.identities.IdentityFolders; "
            f"{type(dataset).__name__} is none or is empty"
        )
        raise ValueError(msg)
    return dataset


class IdentityFolders(Dataset[Person]):
    """A folder with one sub-folder per person, pictures anywhere in it; each is resized and centre-cropped to a square.

    Args:
        root: The folder.
        size: Side in pixels.
        train_pictures: The first so many pictures (by name) are attacked.
        reference_pictures: So many of the others are the reference; all of them if None.
        identities: The first so many persons (by name); all of them if None.

    Raises:
        FileNotFoundError: If there are no sub-folders with pictures.
        ValueError: If there are fewer persons than asked for, or a person has too few pictures to split.
    """

    def __init__(
        self,
        root: str,
        size: int = 512,
        train_pictures: int = 6,
        reference_pictures: int | None = None,
        identities: int | None = None,
    ) -> None:
        self.root, self.size, self.train_pictures, self.reference_pictures = (
            str(Path(root).resolve()),
            size,
            train_pictures,
            reference_pictures,
        )
        pictures, _ = list_images(Path(root))
        self.people: dict[str, list[Path]] = {}
        for path in pictures:
            inside = path.relative_to(root)
            if len(inside.parts) > 1:
                self.people.setdefault(inside.parts[0], []).append(path)
        if not self.people:
            msg = f"{root}: expected one sub-folder of pictures per person, found pictures only at the top"
            raise FileNotFoundError(msg)
        if identities is not None:
            if not 1 <= identities <= len(self.people):
                msg = f"{root}: {len(self.people)} persons, but {identities} are asked for"
                raise ValueError(msg)
            self.people = dict(list(self.people.items())[:identities])
        wanted = 1 if reference_pictures is None else reference_pictures
        if train_pictures < 1 or wanted < 1:
            msg = f"each person needs pictures to attack and to compare with, got {train_pictures} and {reference_pictures}"
            raise ValueError(msg)
        for person, paths in self.people.items():
            if len(paths) < train_pictures + wanted:
                msg = f"{root}/{person}: {len(paths)} pictures, but {train_pictures} for the attack and {wanted} as reference are needed"
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Person:
        name, paths = list(self.people.items())[index]
        paths = paths[
            : None
            if self.reference_pictures is None
            else self.train_pictures + self.reference_pictures
        ]
        images = torch.stack(
            [resize_center_crop(open_photo(path).tensor(), self.size) for path in paths]
        )
        return Person(
            name=name, train=images[: self.train_pictures], reference=images[self.train_pictures :]
        )

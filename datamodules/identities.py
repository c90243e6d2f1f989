"""Identities with several images each, the input of personalization attacks."""

from __future__ import annotations

import hashlib
from collections.abc import Sized
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from images.io import list_images, open_photo
from images.transforms.squares import center_square


class SourceImage(NamedTuple):
    """Image file that an image of a person is from.

    Attributes:
        name: Path in the person's folder, without ending.
        height: Height in pixels.
        width: Width in pixels.
    """

    name: str
    height: int
    width: int


class Person(TypedDict):
    """One identity, with images as float32 RGB in [0, 1].

    ``train``, (n, 3, S, S), is protected and attacked; ``reference``, (m, 3, S, S), shows the same
    person for comparison. ``sources`` has the files of ``train``, n of them.
    """

    name: str
    train: Tensor
    reference: Tensor
    sources: NotRequired[list[SourceImage]]


class IdentityDataset(Sized, Protocol):
    """Data set of :class:`Person` items."""

    def __getitem__(self, index: int) -> Person: ...


def as_people(dataset: Any) -> IdentityDataset:
    """Check that a data set holds persons, and return it.

    Raises:
        ValueError: If it is empty or its first item is no :class:`Person`.
    """
    items = set(dataset[0]) if len(dataset) else set()
    if not Person.__required_keys__ <= items <= set(Person.__annotations__):
        msg = (
            "people must be a data set of persons, such as datamodules.identities.IdentityFolders; "
            f"{type(dataset).__name__} is empty or has other items"
        )
        raise ValueError(msg)
    return dataset


def refuse_copies(person: Person, owners: dict[str, str]) -> None:
    """Refuse a person with an image to attack that another person has, too.

    One person under two names would count twice.

    Args:
        person: The person.
        owners: Name of the person by hash of an image; this person's images are added.

    Raises:
        ValueError: If another person has one of the images.
    """
    for number, image in enumerate(person["train"], start=1):
        digest = hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()
        owner = owners.setdefault(digest, person["name"])
        if owner != person["name"]:
            msg = (
                f"{owner} and {person['name']} have the same image (image {number} of "
                f"{person['name']}), and would count as two people: remove one of them"
            )
            raise ValueError(msg)


def folders_of(people: IdentityDataset) -> list[Path]:
    """List the folders of images that a data set of persons reads, for guards against overlap.

    A data set names them in an attribute ``folders``; one without it reads none.
    """
    return list(getattr(people, "folders", ()))


class IdentityFolders(Dataset[Person]):
    """Folder with one sub-folder of images per person.

    Images may lie anywhere in a sub-folder. Each is resized and center-cropped to a square.
    Links to folders are followed; hidden folders are left out.

    Args:
        root: The folder.
        size: Side in pixels.
        train_pictures: Number of images to attack: the first ones by name.
        reference_pictures: Number of the following images to use as reference; all if None.
        identities: Number of persons, the first ones by name; all if None.
        train_folder: Name of the folder, within each person's, of the images to attack, such as
            ``set_B``; others of it are not used, and reference images are the first of the other
            folders by name. None for no such folder.

    Raises:
        FileNotFoundError: If there are no sub-folders with images.
        ValueError: If there are fewer persons than ``identities``, or a person has too few images.
    """

    def __init__(
        self,
        root: str,
        size: int = 512,
        train_pictures: int = 6,
        reference_pictures: int | None = None,
        identities: int | None = None,
        train_folder: str | None = None,
    ) -> None:
        self.given = Path(root)
        self.root = str(self.given.resolve())
        self.size = size
        self.train_pictures = train_pictures
        self.reference_pictures = reference_pictures
        self.people = _images_by_person(root)
        if identities is not None:
            if not 1 <= identities <= len(self.people):
                msg = f"{root}: {len(self.people)} persons, but {identities} are asked for"
                raise ValueError(msg)
            self.people = dict(list(self.people.items())[:identities])
        if train_folder is not None:
            self._put_first(train_folder)
        self._check_counts(root)

    @property
    def folders(self) -> list[Path]:
        """Folders of images that the data set reads."""
        return [self.given]

    def _put_first(self, folder: str) -> None:
        """Let the images to attack be those of a folder, and the references the others.

        Raises:
            ValueError: If a person has too few images in the folder.
        """
        for person, paths in self.people.items():
            inside = [path for path in paths if path.parent == self.given / person / folder]
            if len(inside) < self.train_pictures:
                msg = (
                    f"{self.given / person / folder}: {len(inside)} images, but "
                    f"{self.train_pictures} for the attack are needed"
                )
                raise ValueError(msg)
            others = [path for path in paths if path not in inside]
            self.people[person] = inside[: self.train_pictures] + others

    def _check_counts(self, root: str) -> None:
        """Raise ValueError if a person has too few images for the split."""
        attacked = self.train_pictures
        reference = 1 if self.reference_pictures is None else self.reference_pictures
        if attacked < 1 or reference < 1:
            msg = (
                "train_pictures and reference_pictures must be at least 1, "
                f"got {attacked} and {self.reference_pictures}"
            )
            raise ValueError(msg)
        for person, paths in self.people.items():
            if len(paths) < attacked + reference:
                msg = (
                    f"{root}/{person}: {len(paths)} images, but {attacked} for the attack and "
                    f"{reference} as reference are needed"
                )
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Person:
        name, paths = list(self.people.items())[index]
        if self.reference_pictures is not None:
            paths = paths[: self.train_pictures + self.reference_pictures]
        crops = []
        sources = []
        for path in paths:
            rgb = open_photo(path).rgb
            crops.append(center_square(rgb, self.size))
            in_folder = path.relative_to(self.given / name).with_suffix("")
            sources.append(SourceImage(in_folder.as_posix(), *rgb.shape[:2]))
        images = torch.stack(crops)
        return Person(
            name=name,
            train=images[: self.train_pictures],
            reference=images[self.train_pictures :],
            sources=sources[: self.train_pictures],
        )


def _images_by_person(root: str) -> dict[str, list[Path]]:
    """List the images below each direct sub-folder, by its name.

    Raises:
        FileNotFoundError: If there are no sub-folders with images.
    """
    paths, _ = list_images(Path(root))
    people: dict[str, list[Path]] = {}
    for path in paths:
        parts = path.relative_to(root).parts
        if len(parts) > 1:
            people.setdefault(parts[0], []).append(path)
    if not people:
        msg = (
            f"{root}: expected one sub-folder of images per person, found images only at the top; "
            "move each person's images into a folder of their own"
        )
        raise FileNotFoundError(msg)
    return people

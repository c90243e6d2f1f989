"""Map-style data sets of portraits, drawn on demand."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.identities import Person, SourceImage
from tiny.identity import check_range, identity
from tiny.portraits import caption, draw
from tiny.scene import scene


class PortraitItem(TypedDict):
    """A portrait: ``image`` is (3, S, S) float32 in [0, 1], ``identity`` a whole number."""

    image: Tensor
    caption: str
    identity: int
    __key__: str


class PortraitDataset(Dataset[PortraitItem]):
    """Portraits of a range of identities, drawn on access.

    Args:
        first: First identity number.
        identities: Number of identities, counted up from ``first``.
        pictures: Images of each identity.
        size: Side in pixels, 64 to 512.
        first_picture: Number of each identity's first image.

    Raises:
        ValueError: If a count is not positive, or the range mixes training and evaluation
            identities.
    """

    def __init__(
        self, first: int, identities: int, pictures: int, size: int = 64, first_picture: int = 0
    ) -> None:
        if identities < 1 or pictures < 1:
            msg = f"identities and pictures must be at least 1, got {identities} and {pictures}"
            raise ValueError(msg)
        check_range(first, identities)
        self.first = first
        self.identities = identities
        self.pictures = pictures
        self.size = size
        self.first_picture = first_picture

    def __len__(self) -> int:
        return self.identities * self.pictures

    def __getitem__(self, index: int) -> PortraitItem:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[PortraitItem]:
        """Draw a batch at once, several times faster than one by one.

        Raises:
            IndexError: If an index is out of range.
        """
        for index in indices:
            if not 0 <= index < len(self):
                msg = f"image {index} of {len(self)}"
                raise IndexError(msg)
        people = [self._identity(index) for index in indices]
        pictures = [self._picture(index) for index in indices]
        portraits = draw(people, pictures, self.size)
        items = []
        for row, (person, picture) in enumerate(zip(people, pictures, strict=True)):
            item = PortraitItem(
                image=portraits.images[row],
                caption=portraits.captions[row],
                identity=person,
                __key__=f"{person:07d}_{picture:03d}",
            )
            items.append(item)
        return items

    def caption(self, index: int) -> str:
        """Return an image's caption without drawing the image."""
        person = self._identity(index)
        return caption(identity(person), scene(person, self._picture(index)))

    def images_of(self, identity: int) -> Tensor:
        """Draw all images of one identity, (pictures, 3, S, S)."""
        start = (identity - self.first) * self.pictures
        items = self.__getitems__(list(range(start, start + self.pictures)))
        return torch.stack([item["image"] for item in items])

    def _identity(self, index: int) -> int:
        """Return the identity number of an item."""
        return self.first + index // self.pictures

    def _picture(self, index: int) -> int:
        """Return the image number of an item."""
        return self.first_picture + index % self.pictures


class PortraitPeople(Dataset[Person]):
    """Identities as people to protect and attack.

    Args:
        first: First identity number.
        identities: Number of people.
        train_pictures: Images of each person that are protected and attacked.
        reference_pictures: Further images of each person, for the identity metrics.
        size: Side in pixels, 64 to 512.
    """

    def __init__(
        self,
        first: int,
        identities: int,
        train_pictures: int = 12,
        reference_pictures: int = 12,
        size: int = 64,
    ) -> None:
        pictures = train_pictures + reference_pictures
        self.portraits = PortraitDataset(first, identities, pictures, size)
        self.first = first
        self.train_pictures = train_pictures
        self.reference_pictures = reference_pictures
        self.size = size

    def __len__(self) -> int:
        return self.portraits.identities

    def __getitem__(self, index: int) -> Person:
        if not 0 <= index < len(self):
            raise IndexError(index)
        images = self.portraits.images_of(self.first + index)
        return Person(
            name=f"{self.first + index:07d}",
            train=images[: self.train_pictures],
            reference=images[self.train_pictures :],
            sources=[
                SourceImage(f"{number:02d}", self.size, self.size)
                for number in range(self.train_pictures)
            ],
        )

"""Portraits as a map-style data set, drawn on demand."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.identities import Person
from tiny.identity import check_range, identity
from tiny.portraits import caption, draw
from tiny.scene import scene


class PortraitItem(TypedDict):
    """One drawn picture: ``image`` is (3, S, S) float32 in [0, 1], ``identity`` a whole number."""

    image: Tensor
    caption: str
    identity: int
    __key__: str


class PortraitDataset(Dataset[PortraitItem]):
    """Every picture of a range of identities, drawn when asked for.

    Args:
        first: First identity number.
        identities: How many identities, counted up from ``first``.
        pictures: Pictures of each identity.
        size: Side in pixels, 64 to 512.
        first_picture: Number of each identity's first picture.

    Raises:
        ValueError: If a count is not positive, or the range mixes training and evaluation identities.
    """

    def __init__(
        self, first: int, identities: int, pictures: int, size: int = 64, first_picture: int = 0
    ) -> None:
        if identities < 1 or pictures < 1:
            msg = f"identities and pictures must be at least 1, got {identities} and {pictures}"
            raise ValueError(msg)
        check_range(first, identities)
        self.first, self.identities, self.pictures = first, identities, pictures
        self.size, self.first_picture = size, first_picture

    def __len__(self) -> int:
        return self.identities * self.pictures

    def __getitem__(self, index: int) -> PortraitItem:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[PortraitItem]:
        """Draw a whole batch at once, several times faster than one by one."""
        if outside := [index for index in indices if not 0 <= index < len(self)]:
            msg = f"picture {outside[0]} of {len(self)}"
            raise IndexError(msg)
        people = [self.first + index // self.pictures for index in indices]
        pictures = [self.first_picture + index % self.pictures for index in indices]
        drawn = draw(people, pictures, self.size)
        return [
            PortraitItem(
                image=image, caption=caption, identity=person, __key__=f"{person:07d}_{picture:03d}"
            )
            for image, caption, person, picture in zip(
                drawn.images, drawn.captions, people, pictures, strict=True
            )
        ]

    def caption(self, index: int) -> str:
        """A picture's caption, without drawing the picture."""
        person, picture = (
            self.first + index // self.pictures,
            self.first_picture + index % self.pictures,
        )
        return caption(identity(person), scene(person, picture))

    def images_of(self, identity: int) -> Tensor:
        """All pictures of one identity, (pictures, 3, S, S)."""
        start = (identity - self.first) * self.pictures
        return torch.stack(
            [item["image"] for item in self.__getitems__(list(range(start, start + self.pictures)))]
        )


class PortraitPeople(Dataset[Person]):
    """Evaluation or training identities as persons to protect and attack.

    Args:
        first: First identity number.
        identities: How many people.
        train_pictures: Pictures of each that are protected and attacked.
        reference_pictures: Further pictures of each that show who it is.
        size: Side in pixels.
    """

    def __init__(
        self,
        first: int,
        identities: int,
        train_pictures: int = 12,
        reference_pictures: int = 12,
        size: int = 64,
    ) -> None:
        self.portraits = PortraitDataset(
            first, identities, train_pictures + reference_pictures, size
        )
        self.first, self.train_pictures, self.reference_pictures, self.size = (
            first,
            train_pictures,
            reference_pictures,
            size,
        )

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
        )

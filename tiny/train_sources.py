"""Training images of the recipes."""

from __future__ import annotations

from tiny.dataset import PortraitDataset
from tiny.fitting import Place
from tiny.folder import CaptionedPictures, captioned_folder

TRAINING_PEOPLE = 20_000
VALIDATION_FIRST = 900_000
"""Identities from here on are trained on by nothing, but are not evaluation identities either: they choose and calibrate."""

Captioned = PortraitDataset | CaptionedPictures


def sources(
    place: Place, people: int, pictures: int, unseen: int
) -> tuple[Captioned, Captioned, str]:
    """Pictures to train on, others that are held out, and where they are from in words."""
    if place.data is not None:
        train, held_out = captioned_folder(place.data, place.size)
        return train, held_out, f"{len(train)} pictures of a folder"
    drawn = PortraitDataset(0, people, pictures), PortraitDataset(VALIDATION_FIRST, unseen, 1)
    return *drawn, f"{people} identities x {pictures} pictures"

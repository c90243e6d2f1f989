"""People of a study, for its record and its guard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datamodules.identities import IdentityDataset, folders_of
from engine.manifest import describe
from eval.arms import Arm
from images.inputs import ImageInput
from images.io import list_images
from images.overlap import refuse_overlap


def describe_people(people: IdentityDataset) -> dict[str, Any]:
    """Describe a data set of persons and count them, for a manifest."""
    return describe(people) | {"count": len(people)}


def refuse_inputs(output: Path, people: IdentityDataset, arms: Iterable[Arm]) -> None:
    """Refuse an output folder that overlaps with the images of a study.

    Args:
        output: Folder of the results.
        people: Data set of persons.
        arms: Ways to protect; some read images from a folder.

    Raises:
        ValueError: If the output folder is one of the folders of images or lies in one, or an image
            lies in the output folder.
    """
    folders = folders_of(people)
    for arm in arms:
        folders += arm.folders
    files = [file for folder in folders for file in list_images(folder)[0]]
    refuse_overlap(output, folders, [ImageInput.from_file(file) for file in files])

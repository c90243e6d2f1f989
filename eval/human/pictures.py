"""Images of a human test: sources, and conversion to one format."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from engine.files import write_bytes
from engine.progress import progress
from eval.studies.results import check_finished, people_of
from images.io import encode_photo, list_images, open_photo, to_rgb, without_metadata
from images.photo import Photo
from images.transforms.squares import center_square

logger = logging.getLogger(__name__)

Codec = Literal["jpeg", "png"]

SERVED = "pictures"
"""Folder of the served images, in a study's folder."""


@dataclass(frozen=True)
class Stimulus:
    """An image to judge.

    Attributes:
        file: Path of the image.
        label: True label, such as real, generated, or an arm; never shown to participants.
        category: Category of the content; draws are even over categories.
        item: Name shared by images of different labels that form a pair.
        reference: Image shown beside it for comparison.
    """

    file: Path
    label: str
    category: str
    item: str
    reference: Path | None = None


class ImageSource(Protocol):
    """Source of images to judge."""

    @property
    def roots(self) -> list[Path]:
        """Folders of the images."""
        ...

    def stimuli(self) -> list[Stimulus]:
        """List the images, in a fixed order."""
        ...


class LabelledFolders:
    """Images in folders: one for each label.

    Sub-folders are categories, as in HPBench.

    Args:
        folders: Folder of each label.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = {label: Path(folder) for label, folder in folders.items()}

    @property
    def roots(self) -> list[Path]:
        """Folders of the images."""
        return list(self.folders.values())

    def stimuli(self) -> list[Stimulus]:
        """List all images; the category is the sub-folder.

        Other files are named in warnings.

        Raises:
            FileNotFoundError: If a folder is missing or holds no images.
        """
        stimuli = []
        for label, folder in self.folders.items():
            images, others = list_images(folder)
            for path in others:
                logger.warning("left out: %s: not an image by its name", path)
            for path in images:
                inside = path.relative_to(folder)
                category = inside.parts[0] if len(inside.parts) > 1 else "all"
                item = str(inside.with_suffix(""))
                stimuli.append(Stimulus(path, label, category, item))
        return stimuli


class StudyPictures:
    """Images of a protection study (``python -m eval personalize``).

    Args:
        output: The study's folder.
        kind: ``protected`` images, or images ``generated`` by the attacker.
        arms: Names of the arms, which are the labels.
        reference: Show one of the person's clean images for comparison.
    """

    def __init__(
        self,
        output: Path,
        kind: Literal["protected", "generated"],
        arms: Sequence[str],
        reference: bool = False,
    ) -> None:
        self.output = Path(output)
        self.kind = kind
        self.arms = list(arms)
        self.reference = reference

    @property
    def roots(self) -> list[Path]:
        """Folder of the study."""
        return [self.output]

    def stimuli(self) -> list[Stimulus]:
        """List all images of the kind.

        The category is the person; the item is the person's image of one number.

        Raises:
            FileNotFoundError: If the folder holds no study, or an arm has no images.
            ValueError: If the study was stopped before its end.
        """
        names = people_of(self.output)
        check_finished(self.output)
        stimuli = []
        for name in names:
            person = self.output / "people" / name
            reference = person / "original_00.png" if self.reference else None
            for arm in self.arms:
                files = sorted((person / arm).glob(f"{self.kind}_*.png"))
                if not files:
                    msg = f"{person / arm}: no {self.kind} images; the study has no such arm"
                    raise FileNotFoundError(msg)
                for file in files:
                    item = f"{name} {file.stem.split('_')[-1]}"
                    stimuli.append(Stimulus(file, arm, name, item, reference))
        return stimuli


def prepare(file: Path, size: int, codec: Codec) -> bytes:
    """Convert an image to the served format.

    The center square is resized. The image is upright, in sRGB, and without metadata.

    Args:
        file: The image.
        size: Side of the result, in pixels.
        codec: ``jpeg`` or ``png``; the quality is always the same.

    Raises:
        UnreadableImage: If it cannot be decoded.
        ValueError: If it is smaller than ``size``: enlarged images could be recognized.
    """
    opened = open_photo(file)
    for note in opened.notes:
        logger.info("%s: %s", file, note)
    photo = without_metadata(opened.on_white())
    height, width = photo.rgb.shape[:2]
    if min(height, width) < size:
        msg = (
            f"{file}: {width} by {height} pixels, less than the test's size of {size}; "
            "lower size or remove it"
        )
        raise ValueError(msg)
    square = to_rgb(center_square(photo.rgb, size))
    return encode_photo(Photo(square), codec)


def prepare_all(files: Sequence[Path], folder: Path, size: int, codec: Codec) -> None:
    """Write the served form of each image as ``NUMBER.bin``.

    All files are padded to one length with zeros, which decoders ignore.

    Args:
        files: The images.
        folder: Folder of the results.
        size: Side of the results, in pixels.
        codec: ``jpeg`` or ``png``.

    Raises:
        ValueError: If images cannot be shown; all are named.
    """
    contents = []
    faults = []
    for file in progress(files):
        try:
            contents.append(prepare(file, size, codec))
        except (ValueError, OSError) as error:
            faults.append(str(error))
    if len(faults) > 1:
        for fault in faults:
            logger.warning("%s", fault)
        msg = f"{len(faults)} of {len(files)} images cannot be shown; the first: {faults[0]}"
        raise ValueError(msg)
    if faults:
        raise ValueError(faults[0])
    length = max(len(content) for content in contents)
    for number, content in enumerate(contents):
        write_bytes(folder / f"{number}.bin", content.ljust(length, b"\0"))

"""Pictures of a human test: where they come from, and what is made of them so that only what they show can tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from engine.files import write_bytes
from engine.progress import progress
from images.io import Photo, encode_photo, list_images, open_photo, to_uint8, without_metadata
from images.transforms.differentiable import resize_center_crop

Codec = Literal["jpeg", "png"]


@dataclass(frozen=True)
class Stimulus:
    """A picture to be judged.

    Attributes:
        file: Where it is.
        label: What is true of it: real, generated, an arm. Never told to a participant.
        category: What it shows; draws are even over categories.
        item: What pictures of different labels have in common: those of one item make a pair.
        reference: A picture shown beside it, not to be judged.
    """

    file: Path
    label: str
    category: str
    item: str
    reference: Path | None = None


class PictureSource(Protocol):
    """Anything that lists pictures to be judged."""

    def stimuli(self) -> list[Stimulus]:
        """The pictures, in a fixed order."""
        ...


class LabelledFolders:
    """A folder for each label, with a sub-folder for each category, as HPBench's pictures are sorted.

    Args:
        folders: Label to folder.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = {label: Path(folder) for label, folder in folders.items()}

    def stimuli(self) -> list[Stimulus]:
        """Every picture; its category is the sub-folder it is in.

        Raises:
            FileNotFoundError: If a folder is not there or holds no pictures.
        """
        found = []
        for label, folder in self.folders.items():
            for path in list_images(folder)[0]:
                inside = path.relative_to(folder)
                found.append(
                    Stimulus(
                        path,
                        label,
                        inside.parts[0] if len(inside.parts) > 1 else "all",
                        str(inside.with_suffix("")),
                    )
                )
        return found


class StudyPictures:
    """What ``python -m eval personalize`` left: protected pictures, or what the attacker drew, of some arms.

    Args:
        output: The study's folder.
        kind: ``protected`` for what was published, ``generated`` for what the attacker drew of it.
        arms: Which arms; they are the labels.
        reference: Show one of the person's own pictures beside.
    """

    def __init__(
        self,
        output: Path,
        kind: Literal["protected", "generated"],
        arms: Sequence[str],
        reference: bool = False,
    ) -> None:
        self.output, self.kind, self.arms, self.reference = (
            Path(output),
            kind,
            list(arms),
            reference,
        )

    def stimuli(self) -> list[Stimulus]:
        """Every picture of the kind; the category is the person, the item the person's picture of that number.

        Raises:
            FileNotFoundError: If the folder holds no study, or an arm has no pictures.
        """
        people = sorted(
            path for path in (self.output / "people").glob("*") if (path / "result.json").is_file()
        )
        if not people:
            msg = f"{self.output}: no finished study here; run python -m eval personalize with this output folder first"
            raise FileNotFoundError(msg)
        found = []
        for person in people:
            for arm in self.arms:
                files = sorted((person / arm).glob(f"{self.kind}_*.png"))
                if not files:
                    msg = f"{person / arm}: no {self.kind} pictures; the study has no such arm"
                    raise FileNotFoundError(msg)
                own = person / "original_00.png" if self.reference else None
                found += [
                    Stimulus(
                        file, arm, person.name, f"{person.name} {file.stem.split('_')[-1]}", own
                    )
                    for file in files
                ]
        return found


def prepare(file: Path, size: int, codec: Codec) -> bytes:
    """A picture as it is served: the middle square at one size, upright, in sRGB, without notes, in one codec at one quality.

    Raises:
        UnreadableImage: If it cannot be decoded.
        ValueError: If it is smaller than ``size``; scaling some pictures up would mark them.
    """
    photo = without_metadata(open_photo(file))
    if min(photo.rgb.shape[:2]) < size:
        msg = f"{file}: {photo.rgb.shape[1]} by {photo.rgb.shape[0]} pixels, less than the test's size of {size}; lower size or remove it"
        raise ValueError(msg)
    square = to_uint8(resize_center_crop(Photo(photo.rgb).tensor(), size)).permute(1, 2, 0).numpy()
    return encode_photo(Photo(square), codec)


def prepare_all(files: Sequence[Path], folder: Path, size: int, codec: Codec) -> None:
    """Write ``NUMBER.bin`` for each file, all of one length: the tail is filled with zeros, which decoders pass over."""
    made = [prepare(file, size, codec) for file in progress(files)]
    length = max(len(content) for content in made)
    for number, content in enumerate(made):
        write_bytes(folder / f"{number}.bin", content.ljust(length, b"\0"))

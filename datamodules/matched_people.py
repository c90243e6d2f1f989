"""People whose photos another program protected, matched with the clean photos by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import Dataset

from datamodules.identities import Person, SourceImage
from images.io import list_images, open_photo
from images.transforms.squares import center_square

Files = dict[str, dict[str, Path]]
"""Image files by person, and by path in the person's folder without ending."""


@dataclass(frozen=True)
class Leftovers:
    """Files without a counterpart, by path below their folder.

    Attributes:
        protected: Protected files without a clean one; nothing is done with them.
        clean: Clean files of people without any protected file; nothing is done with them.
        others: Files that are no images, after the name of their folder.
    """

    protected: list[str]
    clean: list[str]
    others: list[str]


class MatchedPeople(Dataset[Person]):
    """People with protected photos and their clean counterparts.

    Both folders have a sub-folder of images for each person, or the images of one person. A
    protected file has the name of its clean one; the ending may differ. Items hold the clean
    images; :class:`eval.arms.Folder` adds the protected ones.

    The reference images are the person's clean photos that are not attacked: those without a
    protected file; if there are none, half of all, the last by name.

    Args:
        protected: Folder of the protected images.
        clean: Folder of the clean images.
        size: Side in pixels; images are resized and center-cropped to a square.
        attacked: Number of each person's protected images to attack, the first ones by name; None
            for as many as leave reference images.

    Raises:
        FileNotFoundError: If a folder has no images, or no file of one has its name in the other.
        ValueError: If two clean files of a person have one name, or a person has too few images.
    """

    def __init__(
        self, protected: Path, clean: Path, size: int = 512, attacked: int | None = None
    ) -> None:
        self.clean = Path(clean)
        self.size = size
        theirs, their_others = _files(Path(protected))
        ours, our_others = _files(self.clean)
        self.single = _is_one_person(theirs) and _is_one_person(ours)
        if not self.single and (_is_one_person(theirs) or _is_one_person(ours)):
            msg = (
                f"{protected} and {clean}: one has a sub-folder for each person, the other images "
                "at its top; give both the same sub-folders"
            )
            raise FileNotFoundError(msg)
        protected_people = _by_person(Path(protected), theirs, self.name_of_one, self.single)
        clean_people = _by_person(self.clean, ours, self.name_of_one, self.single)
        self.attacked, self.reference = _split(protected_people, clean_people, attacked)
        if not self.attacked:
            msg = (
                f"{protected}: no file has the name of one in {clean}; protected files keep the "
                "names and sub-folders of the clean ones, only the ending may differ"
            )
            raise FileNotFoundError(msg)
        self.leftovers = Leftovers(
            list(_unmatched(protected_people, clean_people)),
            [
                f"{person}/{file.name}"
                for person, files in clean_people.items()
                if person not in self.attacked
                for file in files.values()
            ],
            [*_named(Path(protected), their_others), *_named(self.clean, our_others)],
        )

    @property
    def folders(self) -> list[Path]:
        """Folders of images that the data set reads."""
        return [self.clean]

    @property
    def name_of_one(self) -> str:
        """Name of the person, if there is one without a sub-folder."""
        return self.clean.resolve().name or "person"

    def __len__(self) -> int:
        return len(self.attacked)

    def __getitem__(self, index: int) -> Person:
        name, files = list(self.attacked.items())[index]
        crops = []
        sources = []
        for key, path in files.items():
            rgb = open_photo(path).rgb
            crops.append(center_square(rgb, self.size))
            sources.append(SourceImage(key, *rgb.shape[:2]))
        reference = [
            center_square(open_photo(path).rgb, self.size) for path in self.reference[name].values()
        ]
        return Person(
            name=name, train=torch.stack(crops), reference=torch.stack(reference), sources=sources
        )


def _files(root: Path) -> tuple[list[Path], list[Path]]:
    """List images and other files, by path below a folder."""
    images, others = list_images(root)
    return [path.relative_to(root) for path in images], others


def _is_one_person(files: list[Path]) -> bool:
    """Return True if images lie at the top of a folder, so that it is one person's."""
    return any(len(file.parts) == 1 for file in files)


def _by_person(root: Path, files: list[Path], name: str, single: bool) -> Files:
    """Group images by person and name.

    Raises:
        ValueError: If two files of a person have one name.
    """
    people: Files = {}
    for file in files:
        person, within = (name, file) if single else (file.parts[0], Path(*file.parts[1:]))
        key = within.with_suffix("").as_posix()
        known = people.setdefault(person, {})
        if key in known:
            msg = f"{root / file} and {known[key].name}: two images of one name; keep one"
            raise ValueError(msg)
        known[key] = root / file
    return people


def _split(protected: Files, clean: Files, attacked: int | None) -> tuple[Files, Files]:
    """Choose the images of each person to attack, and those to compare with.

    Raises:
        ValueError: If a person has too few images for it.
    """
    to_attack: Files = {}
    reference: Files = {}
    for person, files in clean.items():
        pairs = [key for key in files if key in protected.get(person, {})]
        if not pairs:
            continue
        count = attacked
        if count is None:
            count = len(pairs) if len(files) > len(pairs) else (len(pairs) + 1) // 2
        if not 1 <= count <= len(pairs) or count == len(files):
            msg = (
                f"{person}: {len(files)} clean images, {len(pairs)} of them protected; that is "
                f"too few to attack {count} and to compare with others"
            )
            raise ValueError(msg)
        chosen = pairs[:count]
        to_attack[person] = {key: files[key] for key in chosen}
        reference[person] = {key: path for key, path in files.items() if key not in chosen}
    return to_attack, reference


def _named(root: Path, files: list[Path]) -> list[str]:
    """Name files below a folder, after its name."""
    return [f"{root.resolve().name}/{file.relative_to(root)}" for file in files]


def _unmatched(protected: Files, clean: Files) -> Iterator[str]:
    """Names of protected files without a clean one."""
    for person, files in protected.items():
        for key, file in files.items():
            if key not in clean.get(person, {}):
                yield f"{person}/{file.name}"

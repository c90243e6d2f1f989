"""Labels of other data sets: what they mean, and where they stand.

There is no default meaning of numbers: data sets differ in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

from datamodules.fake2m.origin import GENERATED, REAL

MEANINGS = {REAL: "real", GENERATED: "generated"}

REAL_WORDS = ("real", "photo", "photograph", "nature", "natural", "authentic", "human")
GENERATED_WORDS = ("generated", "fake", "ai", "synthetic", "ai-generated", "ai_generated")
WORDS = dict.fromkeys(REAL_WORDS, REAL) | dict.fromkeys(GENERATED_WORDS, GENERATED)
"""Labels with a known meaning. Numbers have none."""

NUMBERED = re.compile(r"[01]_(?=\D)")
"""Start of a numbered label, as in ``0_real`` and ``1_fake``; the word says what it means."""

SPLITS: dict[str, Literal["train", "val", "test"]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folders, and first parts of file names as in ``test-00000-of-00004``, that name a split."""

SAY_IT = (
    "and data sets differ in what that means: "
    """say it, such as --label-map '{"0": 0, "1": 1}' where 1 is generated"""
)


class LabelMap:
    """Meaning of labels: 0 real, 1 generated.

    Args:
        stated: Map from labels to 0 or 1. None accepts words alone, such as real and fake.

    Raises:
        ValueError: If a value is neither 0 nor 1.
    """

    def __init__(self, stated: Mapping[str, int] | None) -> None:
        self.is_stated = stated is not None
        known = WORDS if stated is None else stated
        self.known = {key.lower(): value for key, value in known.items()}
        self.used: dict[str, int] = {}
        if wrong := {key: value for key, value in self.known.items() if value not in MEANINGS}:
            msg = f"a label means 1, generated, or 0, real; {wrong} does not"
            raise ValueError(msg)

    def meaning(self, label: str) -> int | None:
        """Return 0 or 1, and remember the label as used; None if it is unknown."""
        value = self.known.get(label.lower())
        if value is None and not self.is_stated:
            value = self.known.get(NUMBERED.sub("", label.lower(), count=1))
        if value is not None:
            self.used[label] = value
        return value

    def lacks(self, label: str) -> bool:
        """Check whether a label is a number whose meaning is not stated."""
        return not self.is_stated and label.isdigit()

    def __str__(self) -> str:
        """List the labels met so far and their meanings."""
        return ", ".join(f"{key} = {MEANINGS[value]}" for key, value in sorted(self.used.items()))


def folder_label(path: str, labels: LabelMap) -> int | str:
    """Return the label that the folders of a path state.

    Returns:
        0 or 1, or the reason why there is none.

    Raises:
        ValueError: If the only candidates are the folders 0 and 1, and their meaning is not stated.
    """
    folders = PurePosixPath(path).parts[:-1]
    meanings = {value for folder in folders if (value := labels.meaning(folder)) is not None}
    if len(meanings) == 1:
        return meanings.pop()
    if meanings:
        return "in folders of both classes"
    numbers = [folder for folder in folders if folder in ("0", "1") and labels.lacks(folder)]
    if numbers:
        msg = f"{path}: its folder is named {numbers[-1]}, {SAY_IT}"
        raise ValueError(msg)
    return "in no labelled folder"


def folder_generator(path: str, labels: LabelMap) -> str | None:
    """Return the folder that names a generator.

    This is the outermost one above the label, or the one below it: ``GENERATOR/train/ai``,
    ``GENERATOR/CATEGORY/1_fake``, ``fake/GENERATOR``. Folders of splits do not count. Without a
    label in the path, it is the outermost folder.
    """
    folders = PurePosixPath(path).parts[:-1]
    place = next((n for n, name in enumerate(folders) if labels.meaning(name) is not None), None)
    above = [folder for folder in folders[:place] if _split_word(folder) is None]
    below = [] if place is None else folders[place + 1 :]
    return next((folder for folder in [*above, *below] if _split_word(folder) is None), None)


def path_split(path: str) -> Literal["train", "val", "test"] | None:
    """Return the split that a folder or a table's name states; None if none does."""
    words = [_split_word(part) for part in PurePosixPath(path).parts[:-1]]
    return next((word for word in words if word is not None), None)


def _split_word(folder: str) -> Literal["train", "val", "test"] | None:
    """Return the split of a name such as ``train``, ``val2017`` or ``test-00000-of-00004``."""
    return SPLITS.get(folder.lower().partition("-")[0].rstrip("0123456789"))

"""File names of sentinels."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Literal

from engine.files import name_bytes

MIN_RANDOM_CHARACTERS = 6
"""Random characters of a neutral name at least."""

LONG_SUFFIXES = {"jpg": "jpeg", "tif": "tiff"}
"""Longer suffix of a codec."""


class SentinelNames:
    """Draw file names of sentinels.

    A sentinel gets the sub-folder and, for the same codec, the suffix of its source.

    Args:
        kind: ``neutral`` names use the character classes of the source's name, with at least six
            random characters. ``prefixed`` names begin with ``sentinel_``.
        seed: Seed of neutral names.
        sources: Names of the sources.
        taken: Existing file names and the source of each; an empty source marks an image of the
            collection.
    """

    def __init__(
        self,
        kind: Literal["neutral", "prefixed"],
        seed: int,
        sources: Sequence[str],
        taken: dict[str, str],
    ) -> None:
        self.kind = kind
        self.seed = seed
        self.taken = taken
        self.stems = Counter(Path(source).stem for source in sources)

    def draw(self, source: str, codec: str) -> str:
        """Return the relative path of a source's sentinel.

        The same source and codec always give the same path.
        """
        path = PurePosixPath(source)
        suffix = path.suffix
        if suffix.lower().lstrip(".") not in (codec, LONG_SUFFIXES.get(codec)):
            suffix = f".{codec}"
        if self.kind == "prefixed":
            return str(path.with_name(f"sentinel_{self._unique_stem(source)}{suffix}"))
        return str(path.with_name(self._neutral_name(source, suffix)))

    def _unique_stem(self, source: str) -> str:
        """Return the stem, or the flattened path if several sources share the stem."""
        stem = PurePosixPath(source).stem
        if self.stems[stem] == 1:
            return stem
        return source.replace("/", "_").replace(".", "_")

    def _neutral_name(self, source: str, suffix: str) -> str:
        """Draw a random name that no other source has."""
        old_stem = PurePosixPath(source).stem
        rng = random.Random(name_bytes(f"{self.seed}/{source}/name"))
        while True:
            stem = "".join(_random_like(character, rng) for character in old_stem)
            varied = sum(letter.isascii() and letter.isalnum() for letter in old_stem)
            stem += "".join(rng.choices(digits, k=max(0, MIN_RANDOM_CHARACTERS - varied)))
            name = f"{stem}{suffix}"
            if self.taken.setdefault(name, source) == source:
                return name


def _random_like(character: str, rng: random.Random) -> str:
    """Draw a character of the same class: digit, lower case or upper case."""
    if character.isdigit():
        return rng.choice(digits)
    if character.isascii() and character.isalpha():
        return rng.choice(ascii_lowercase if character.islower() else ascii_uppercase)
    return character

"""Keys: random letters that no retriever folds together and no reader confuses."""

from __future__ import annotations

import random
import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

from engine.files import name_bytes

ALPHABET = "BCDFGHJKMNPRSTVWXYZ"
"""Capitals without vowels, so that no key is a word, and without Q and L, which are read as O and I; encoders fold case away."""


@dataclass
class KeyMaker:
    """Draws keys that differ from all it knows.

    Attributes:
        length: Letters of a key.
        distance: Least edit distance between two keys, whatever their case.
        seed: Of reproducible keys; None draws from the operating system's secure source.
        alphabet: Letters to draw from.

    Raises:
        ValueError: If a setting is out of range.
    """

    length: int = 6
    distance: int = 3
    seed: int | None = None
    alphabet: str = ALPHABET
    _near: dict[str, list[str]] = field(
        default_factory=lambda: defaultdict(list), init=False, repr=False
    )

    def __post_init__(self) -> None:
        if not 3 <= self.length <= 16 or not 1 <= self.distance <= self.length:
            msg = f"a key has 3 to 16 letters and keys differ in 1 to all of them, got length {self.length} and distance {self.distance}"
            raise ValueError(msg)
        if (
            len({fold(letter) for letter in self.alphabet}) < max(2, len(self.alphabet))
            or not self.alphabet.isalpha()
        ):
            msg = f"the alphabet must be different letters, whatever their case; got '{self.alphabet}'"
            raise ValueError(msg)

    def know(self, keys: Iterable[str]) -> None:
        """Take note of keys that exist already."""
        for key in keys:
            for shorter in _shortened(fold(key), self.distance - 1):
                self._near[shorter].append(fold(key))

    def draw(self, purpose: str, tries: int = 1000) -> str:
        """A new key, which is known from now on.

        Args:
            purpose: What it is for; with a seed, the same purpose gives the same first candidate.
            tries: Candidates before giving up.

        Raises:
            ValueError: If there is no room for another key at this distance.
        """
        source = (
            secrets.SystemRandom()
            if self.seed is None
            else random.Random(name_bytes(f"{self.seed}/{purpose}"))
        )
        for _ in range(tries):
            key = "".join(source.choices(self.alphabet, k=self.length))
            if not self.too_near(key):
                self.know([key])
                return key
        msg = f"no further key of {self.length} letters is {self.distance} edits from the others: use longer keys or a smaller distance"
        raise ValueError(msg)

    def too_near(self, key: str) -> str | None:
        """A known key closer than the least distance, if there is one."""
        for shorter in _shortened(fold(key), self.distance - 1):
            for other in self._near.get(shorter, ()):
                if edit_distance(fold(key), other) < self.distance:
                    return other
        return None


def fold(text: str) -> str:
    """What a text encoder and a lenient reader see of a key: letters only, in lower case."""
    return "".join(letter for letter in text.casefold() if letter.isalpha())


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def _shortened(key: str, most: int) -> set[str]:
    """A key with up to so many letters left out; two keys nearer than that many edits have one of these in common."""
    most = min(most, len(key))
    return {
        "".join(kept)
        for left_out in range(most + 1)
        for kept in combinations(key, len(key) - left_out)
    }

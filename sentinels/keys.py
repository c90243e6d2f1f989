"""Random keys that retrievers and readers can tell apart."""

from __future__ import annotations

import math
import random
import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

from engine.files import name_bytes

ALPHABET = "BCDFGHJKMNPRSTVWXYZ"
"""Letters of keys.

Without vowels no key is a word. Q and L are left out because they are read as O and I. All are
capitals because text encoders ignore case.
"""


class Keys(Protocol):
    """Interface of makers of keys."""

    def register(self, keys: Iterable[str]) -> None:
        """Register existing keys, so that drawn keys keep their distance."""

    def draw(self, purpose: str) -> str:
        """Draw a new key and register it."""

    def find_near(self, key: str) -> str | None:
        """Return a registered key closer than the least distance, or None."""

    def facts(self) -> dict[str, Any]:
        """Describe the keys for the record, their number in bits included."""


@dataclass
class KeyMaker:
    """Draw keys at a least edit distance from all registered keys.

    Attributes:
        length: Letters of a key, 3 to 16.
        distance: Least edit distance between two keys, ignoring case, 1 to ``length``.
        seed: Seed of reproducible keys; None draws from the operating system's secure source.
        alphabet: Letters to draw from, distinct when ignoring case.

    Raises:
        ValueError: If a setting is out of range.
    """

    length: int = 6
    distance: int = 3
    seed: int | None = None
    alphabet: str = ALPHABET
    _neighbors: dict[str, list[str]] = field(
        default_factory=lambda: defaultdict(list), init=False, repr=False
    )

    def __post_init__(self) -> None:
        if not 3 <= self.length <= 16:
            msg = f"length must be 3 to 16 letters, got {self.length}"
            raise ValueError(msg)
        if not 1 <= self.distance <= self.length:
            msg = f"distance must be 1 to the key's {self.length} letters, got {self.distance}"
            raise ValueError(msg)
        distinct = {fold(letter) for letter in self.alphabet}
        all_distinct = len(distinct) >= max(2, len(self.alphabet))
        if not all_distinct or not self.alphabet.isalpha():
            msg = (
                "the alphabet must be at least two letters, distinct when ignoring case; "
                f"got '{self.alphabet}'"
            )
            raise ValueError(msg)

    @property
    def bits(self) -> float:
        """Logarithm, to base 2, of the number of keys."""
        return self.length * math.log2(len(self.alphabet))

    def facts(self) -> dict[str, Any]:
        """Describe the keys for the record."""
        return {"key_length": self.length, "key_bits": round(self.bits, 2)}

    def register(self, keys: Iterable[str]) -> None:
        """Register existing keys, so that drawn keys keep their distance."""
        for key in keys:
            for shorter in _deletions(fold(key), self.distance - 1):
                self._neighbors[shorter].append(fold(key))

    def draw(self, purpose: str, tries: int = 1000) -> str:
        """Draw a new key and register it.

        Args:
            purpose: Use of the key; with a seed, one purpose always gives the same first candidate.
            tries: Number of candidates before giving up.

        Raises:
            ValueError: If no candidate is far enough from the registered keys.
        """
        source = random_source(self.seed, purpose)
        for _ in range(tries):
            key = "".join(source.choices(self.alphabet, k=self.length))
            if not self.find_near(key):
                self.register([key])
                return key
        msg = (
            f"no further key of {self.length} letters is {self.distance} edits from the others: "
            "use longer keys or a smaller distance"
        )
        raise ValueError(msg)

    def find_near(self, key: str) -> str | None:
        """Return a registered key closer than the least distance, or None."""
        for shorter in _deletions(fold(key), self.distance - 1):
            for other in self._neighbors.get(shorter, ()):
                if edit_distance(fold(key), other) < self.distance:
                    return other
        return None


def random_source(seed: int | None, purpose: str) -> random.Random:
    """Return the generator of a purpose's candidates, secure without a seed."""
    if seed is None:
        return secrets.SystemRandom()
    return random.Random(name_bytes(f"{seed}/{purpose}"))


def fold(text: str) -> str:
    """Reduce a text to its letters in lower case, as text encoders and readers see it."""
    return "".join(letter for letter in text.casefold() if letter.isalpha())


def edit_distance(a: str, b: str) -> int:
    """Compute the Levenshtein distance of two texts."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        diagonal = row[0]
        row[0] = i
        for j, right in enumerate(b, start=1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
            diagonal = row[j]
            row[j] = cost
    return row[-1]


def _deletions(key: str, max_deletions: int) -> set[str]:
    """Return all variants of a key with up to ``max_deletions`` letters deleted.

    Two keys within that many edits share at least one variant (the symmetric-delete index of
    SymSpell).
    """
    variants = set()
    for count in range(min(max_deletions, len(key)) + 1):
        for letters in combinations(key, len(key) - count):
            variants.add("".join(letters))
    return variants

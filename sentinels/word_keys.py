"""Word keys: rare combinations of things and attributes, shown without letters.

A key is a text such as "a striped red star at the top left, a dotted blue ring at the bottom
right". Its words come from a secret grammar, a part of a public vocabulary that is drawn once for
each collection. A thief with OCR finds nothing.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.files import name_bytes
from sentinels.keys import random_source

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black", "grey")

KEPT = 0.75
"""Share of a vocabulary's things and colors that a secret grammar keeps."""


@dataclass(frozen=True)
class Vocabulary:
    """Public words from which grammars are drawn.

    Attributes:
        things: Nouns.
        colors: Colors.
        patterns: Patterns.
        places: Places; a key has at most one thing at each.
    """

    things: tuple[str, ...]
    colors: tuple[str, ...]
    patterns: tuple[str, ...]
    places: tuple[str, ...]


DRAWN = Vocabulary(
    things=(
        "circle",
        "square",
        "triangle",
        "pentagon",
        "hexagon",
        "octagon",
        "star",
        "cross",
        "diamond",
        "ring",
        "crescent",
        "heart",
    ),
    colors=COLORS,
    patterns=("plain", "striped", "checked", "dotted"),
    places=("at the top left", "at the top right", "at the bottom left", "at the bottom right"),
)
"""Vocabulary of the local planter."""

ASKED = Vocabulary(
    things=(
        "accordion",
        "anchor",
        "birdcage",
        "cactus",
        "canoe",
        "globe",
        "hourglass",
        "kite",
        "ladder",
        "lantern",
        "rocking chair",
        "scarecrow",
        "teapot",
        "telescope",
        "trumpet",
        "typewriter",
        "umbrella",
        "violin",
        "watering can",
        "wheelbarrow",
    ),
    colors=COLORS,
    patterns=("plain", "striped", "checked", "dotted"),
    places=("on the left", "on the right", "in front", "in the background"),
)
"""Vocabulary for generators of images."""


@dataclass(frozen=True)
class Thing:
    """One thing of a word key.

    Attributes:
        pattern: Pattern of its surface.
        color: Color.
        noun: The thing.
        place: Place in the image.
    """

    pattern: str
    color: str
    noun: str
    place: str

    def __str__(self) -> str:
        article = "an" if self.pattern[0] in "aeiou" else "a"
        return f"{article} {self.pattern} {self.color} {self.noun} {self.place}"


@dataclass(frozen=True)
class Grammar:
    """Secret grammar of word keys.

    Attributes:
        things: Nouns that it uses.
        colors: Colors that it uses.
        patterns: Patterns.
        places: Places.
        count: Things of a key, 1 to the number of places.

    Raises:
        ValueError: If ``count`` is out of range.
    """

    things: tuple[str, ...]
    colors: tuple[str, ...]
    patterns: tuple[str, ...]
    places: tuple[str, ...]
    count: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.count <= len(self.places):
            msg = f"a word key has 1 to {len(self.places)} things, got {self.count}"
            raise ValueError(msg)

    @classmethod
    def draw(cls, vocabulary: Vocabulary, seed: int, count: int = 3) -> Grammar:
        """Draw three quarters of a vocabulary's things and colors.

        Args:
            vocabulary: The public words.
            seed: Secret seed.
            count: Things of a key.
        """
        rng = random.Random(name_bytes(f"{seed}/grammar"))

        def some(words: Sequence[str]) -> tuple[str, ...]:
            return tuple(sorted(rng.sample(words, round(KEPT * len(words)))))

        return cls(
            some(vocabulary.things),
            some(vocabulary.colors),
            vocabulary.patterns,
            vocabulary.places,
            count,
        )

    @property
    def bits(self) -> float:
        """Logarithm, to base 2, of the number of keys."""
        each = len(self.things) * len(self.colors) * len(self.patterns)
        return self.count * math.log2(each) + math.log2(math.comb(len(self.places), self.count))

    def key(self, source: random.Random) -> str:
        """Draw a key, all of them equally likely."""
        chosen = set(source.sample(range(len(self.places)), self.count))
        things = []
        for index, place in enumerate(self.places):
            if index in chosen:
                pattern = source.choice(self.patterns)
                color = source.choice(self.colors)
                things.append(Thing(pattern, color, source.choice(self.things), place))
        return ", ".join(map(str, things))


@dataclass
class WordKeyMaker:
    """Draw word keys that differ in enough words from all registered keys.

    Attributes:
        grammar: The secret grammar.
        distance: Least number of differing words between two keys, at least 1.
        seed: Seed of reproducible keys; None draws from the operating system's secure source.

    Raises:
        ValueError: If the distance is out of range.
    """

    grammar: Grammar
    distance: int = 3
    seed: int | None = None
    _registered: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.distance <= 3 * self.grammar.count:
            msg = f"distance must be 1 to the key's {3 * self.grammar.count} words, "
            msg += f"got {self.distance}"
            raise ValueError(msg)

    def facts(self) -> dict[str, Any]:
        """Describe the keys for the record, the secret grammar included."""
        grammar = asdict(self.grammar)
        return {"key_kind": "words", "key_bits": round(self.grammar.bits, 2), "grammar": grammar}

    def register(self, keys: Iterable[str]) -> None:
        """Register existing keys, so that drawn keys keep their distance."""
        self._registered += keys

    def draw(self, purpose: str, tries: int = 1000) -> str:
        """Draw a new key and register it; see :meth:`sentinels.keys.KeyMaker.draw`.

        Raises:
            ValueError: If no candidate is far enough from the registered keys.
        """
        source = random_source(self.seed, purpose)
        for _ in range(tries):
            key = self.grammar.key(source)
            if not self.find_near(key):
                self.register([key])
                return key
        msg = f"no further word key differs in {self.distance} words from the others: "
        msg += "use more things or a smaller distance"
        raise ValueError(msg)

    def find_near(self, key: str) -> str | None:
        """Return a registered key closer than the least distance, or None."""
        near = (other for other in self._registered if word_distance(key, other) < self.distance)
        return next(near, None)


def is_word_key(key: str) -> bool:
    """Return True for a word key; a key of letters has no blanks."""
    return " " in key.strip()


def word_distance(one: str, other: str) -> int:
    """Count the attributes and nouns in which two word keys differ, place by place."""
    first = {thing.place: thing for thing in parse_key(one)}
    second = {thing.place: thing for thing in parse_key(other)}
    distance = 0
    for place in {*first, *second}:
        if place in first and place in second:
            a, b = first[place], second[place]
            distance += (a.pattern != b.pattern) + (a.color != b.color) + (a.noun != b.noun)
        else:
            distance += 3
    return distance


def parse_key(key: str) -> list[Thing]:
    """Parse a word key.

    Raises:
        ValueError: If the text is none.
    """
    things = []
    for part in key.split(", "):
        match = PART.fullmatch(part)
        if match is None:
            msg = f"'{part}' is no part of a word key, such as 'a striped red star at the top left'"
            raise ValueError(msg)
        things.append(Thing(*match.group("pattern", "color", "noun", "place")))
    return things


def _one_of(*words: str) -> str:
    return "|".join(map(re.escape, words))


PART = re.compile(
    rf"an? (?P<pattern>{_one_of(*DRAWN.patterns)}) (?P<color>{_one_of(*COLORS)}) "
    rf"(?P<noun>{_one_of(*DRAWN.things, *ASKED.things)}) "
    rf"(?P<place>{_one_of(*DRAWN.places, *ASKED.places)})"
)
"""One thing of a word key."""

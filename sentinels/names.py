"""File names of sentinels."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from engine.files import name_bytes


class Names:
    """Draws names, each in its source's sub-folder and with its ending.

    Args:
        kind: ``neutral`` names have the source's kinds of characters, and six random ones at least; ``prefixed`` ones say sentinel_.
        seed: Of neutral names.
        sources: Names of the sources.
        taken: File names that exist, with the source whose sentinel has it; empty for images of the collection.
    """

    def __init__(
        self,
        kind: Literal["neutral", "prefixed"],
        seed: int,
        sources: Sequence[str],
        taken: dict[str, str],
    ) -> None:
        self.kind, self.seed, self.taken = kind, seed, taken
        self.stems = Counter(Path(source).stem for source in sources)

    def draw(self, source: str, codec: str) -> str:
        """The place of a source's sentinel, which has the codec; the same whenever it is drawn."""
        path = PurePosixPath(source)
        ending = (
            path.suffix
            if path.suffix.lower().lstrip(".") in (codec, {"jpg": "jpeg", "tif": "tiff"}.get(codec))
            else f".{codec}"
        )
        if self.kind == "prefixed":
            stem = (
                path.stem
                if self.stems[path.stem] == 1
                else source.replace("/", "_").replace(".", "_")
            )
            return str(path.with_name(f"sentinel_{stem}{ending}"))
        rng = random.Random(name_bytes(f"{self.seed}/{source}/name"))
        while True:
            stem = "".join(_same_kind(letter, rng) for letter in path.stem)
            free = sum(letter.isascii() and letter.isalnum() for letter in path.stem)
            stem += "".join(rng.choices("0123456789", k=max(0, 6 - free)))
            if self.taken.setdefault(name := f"{stem}{ending}", source) == source:
                return str(path.with_name(name))


def _same_kind(letter: str, rng: random.Random) -> str:
    if letter.isdigit():
        return rng.choice("0123456789")
    if letter.isascii() and letter.isalpha():
        return rng.choice(
            "abcdefghijklmnopqrstuvwxyz" if letter.islower() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        )
    return letter

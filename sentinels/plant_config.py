"""Settings of ``python -m sentinels plant``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class PlantConfig:
    """Settings of planting.

    Attributes:
        count: Number of sentinels.
        order: Choice of the sources: a random ``sample``, or the ``first`` by name.
        seed: Seed of sources, keys, places and names. None draws one from the system's secure
            source, so that nobody can guess it; it is stored beside the record for resuming.
        key_kind: ``letters``, or ``words``: a rare combination of things, colors and places,
            which OCR does not find.
        key_length: Letters of a key, 3 to 16.
        things: Things of a key of words, 1 to 4.
        distance: Least edit distance of two keys, or least number of words in which they differ.
        names: ``neutral``: a sentinel replaces its source, under the source's name. ``prefixed``:
            it is published beside its source, with a name that begins with ``sentinel_``, as in
            the published program.
        attempts: Candidates per source, each with a new key, before it fails.
        concurrency: Sources processed in parallel.

    Raises:
        ValueError: If a count is below 1.
    """

    count: int = 20
    order: Literal["sample", "first"] = "sample"
    seed: int | None = None
    key_kind: Literal["letters", "words"] = "letters"
    key_length: int = 6
    things: int = 3
    distance: int = 3
    names: Literal["neutral", "prefixed"] = "neutral"
    attempts: int = 4
    concurrency: int = 4

    def __post_init__(self) -> None:
        if self.count < 1 or self.attempts < 1 or self.concurrency < 1:
            msg = (
                "count, attempts and concurrency must be at least 1, "
                f"got {self.count}, {self.attempts} and {self.concurrency}"
            )
            raise ValueError(msg)

    def settings(self) -> dict[str, Any]:
        """Return the settings for the record; those of the other kind of keys are left out."""
        settings = asdict(self)
        if self.key_kind == "letters":
            del settings["key_kind"], settings["things"]
        else:
            del settings["key_length"]
        return settings

"""One kind of answers of the service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Answer:
    """Answer for one image.

    Attributes:
        row: Plain values, as in the command's table.
        png: Changed image; None for answers without one.
    """

    row: dict[str, Any]
    png: bytes | None = None


class Task(ABC):
    """Kind of answers, computed in one thread."""

    path: ClassVar[str]
    """Path of the requests."""

    about: ClassVar[str]
    """Description of the answer."""

    words: Sequence[str] = ()
    """Sentences that hold of every answer."""

    @abstractmethod
    def answer(self, name: str, content: bytes, max_pixels: int) -> Answer:
        """Compute the answer for an image.

        Args:
            name: Name of the image.
            content: The encoded image.
            max_pixels: Limit of its pixels.

        Raises:
            ValueError: If the image cannot be used; the message names it.
        """

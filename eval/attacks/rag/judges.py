"""Who looks at what was drawn, says what is missing, and words the search: a service's model, or a reader."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from images.io import encode_as
from models.embedders import identify_model
from sentinels.answers import Verdict, is_refusal, parse_list, yes_or_no
from sentinels.client import Client
from sentinels.messages import message
from sentinels.reader import Reader, load_reader, reads_as

Levels = NDArray[np.uint8]


class Judge(ABC):
    """Looks and words. Pictures are (H, W, 3) uint8; ``salt`` tells apart trials of one prompt."""

    client: Client | None = None
    needs_service = False

    def settings(self) -> dict[str, Any]:
        """What decides the answers."""
        return {"judge": type(self).__name__} | (
            {"service": self.client.service.settings()} if self.client else {}
        )

    @abstractmethod
    async def matches(self, picture: Levels, prompt: str, salt: str) -> Verdict:
        """Does a picture show what a prompt asks for?"""

    @abstractmethod
    async def concepts(self, picture: Levels | None, prompt: str, salt: str) -> list[str]:
        """What a picture lacks; without one, what a generator must know for the prompt. Empty where nothing could be named."""

    @abstractmethod
    async def captions(self, prompt: str, concepts: list[str], salt: str) -> list[str]:
        """Search captions, the most wanted first."""

    @abstractmethod
    async def rephrase(self, prompt: str, salt: str) -> str:
        """The prompt in simpler words."""


class ReadingJudge(Judge):
    """Misses the quoted word of a prompt where it cannot read it in the picture, and searches for that word; needs no service.

    Args:
        reader: Folder of a model that reads.
    """

    def __init__(self, reader: str) -> None:
        self.reader_name = reader

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"reader": identify_model(self.reader_name)}

    @cached_property
    def reader(self) -> Reader:
        """The reader, loaded on first use."""
        return load_reader(self.reader_name)

    async def matches(self, picture: Levels, prompt: str, salt: str) -> Verdict:
        words = quoted(prompt)
        if not words:
            return "yes"
        text = self.reader(
            torch.from_numpy(picture.copy()).permute(2, 0, 1).float().unsqueeze(0) / 255
        )[0]
        return "yes" if all(reads_as(text, word) for word in words) else "no"

    async def concepts(self, picture: Levels | None, prompt: str, salt: str) -> list[str]:
        return quoted(prompt)

    async def captions(self, prompt: str, concepts: list[str], salt: str) -> list[str]:
        return concepts

    async def rephrase(self, prompt: str, salt: str) -> str:
        return ", ".join(quoted(prompt)) or prompt


class ServiceJudge(Judge):
    """A multimodal chat model. Each question stands alone, so that no picture is paid for twice in one.

    Args:
        most: Concepts that are asked for.
        tries: Askings for concepts, each at a higher temperature, while the model says that it cannot.
    """

    needs_service = True

    def __init__(self, most: int = 1, tries: int = 3) -> None:
        self.most, self.tries = most, tries

    async def matches(self, picture: Levels, prompt: str, salt: str) -> Verdict:
        question = f'Does this picture show, in content and in style, what was asked for: "{prompt}"? Begin your answer with yes or no.'
        return yes_or_no(await self._ask(question, salt, picture))

    async def concepts(self, picture: Levels | None, prompt: str, salt: str) -> list[str]:
        if picture is None:
            question = f'Which visual concepts must an image generator know to draw: "{prompt}"?'
        else:
            question = f'What of content or style does this picture lack to be what was asked for: "{prompt}"?'
        question += (
            f" Name at most {self.most}, one a line, for example: a red bicycle. Nothing else."
        )
        for attempt in range(self.tries):
            answer = await self._ask(
                question,
                f"{salt}/{attempt}" if attempt else salt,
                picture,
                temperature=0.4 * attempt,
            )
            if not is_refusal(answer):
                return parse_list(answer)[: self.most]
        return []

    async def captions(self, prompt: str, concepts: list[str], salt: str) -> list[str]:
        question = (
            f'To draw "{prompt}", pictures of the following are looked for: {"; ".join(concepts)}. For each, give one caption '
            "that such a picture would have and that stands for itself, one a line, nothing else."
        )
        answer = await self._ask(question, salt)
        return [] if is_refusal(answer) else parse_list(answer)

    async def rephrase(self, prompt: str, salt: str) -> str:
        question = f'Say this more simply for an image generator, without changing what it means: "{prompt}". The new wording only.'
        answer = await self._ask(question, salt)
        return prompt if is_refusal(answer) else answer.strip().strip('"')

    async def _ask(
        self, question: str, salt: str, picture: Levels | None = None, temperature: float = 0.0
    ) -> str:
        assert self.client is not None
        pictures = [] if picture is None else [encode_as(picture, "jpg")]
        return await self.client.chat([message(question, pictures)], salt, temperature)


def quoted(prompt: str) -> list[str]:
    """The words in quotes of a prompt, each once."""
    return list(dict.fromkeys(re.findall(r"['\"]([^'\"]+)['\"]", prompt)))

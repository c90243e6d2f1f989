"""Judges: compare images with prompts and write search captions."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import torch

from images.io import encode_as
from images.transforms import RGBImage
from models.embedders import identify_model
from sentinels.answers import Verdict, is_refusal, parse_list, yes_or_no
from sentinels.client import Client
from sentinels.messages import message
from sentinels.reader import Reader, load_reader, reads_as


class Judge(ABC):
    """Compares images with prompts and writes search captions.

    Images are (H, W, 3) uint8. A ``salt`` makes requests of different trials distinct.
    """

    client: Client | None = None
    needs_service = False

    def settings(self) -> dict[str, Any]:
        """Settings that decide the answers, for the record."""
        settings: dict[str, Any] = {"judge": type(self).__name__}
        if self.client:
            settings["service"] = self.client.service.settings()
        return settings

    @abstractmethod
    async def matches(self, image: RGBImage, prompt: str, salt: str) -> Verdict:
        """Decide whether an image shows what a prompt asks for.

        Args:
            image: The image, (H, W, 3).
            prompt: The prompt.
            salt: Distinguishes trials.
        """

    @abstractmethod
    async def concepts(self, image: RGBImage | None, prompt: str, salt: str) -> list[str]:
        """Name the concepts that an image lacks or a prompt requires.

        Args:
            image: The image, (H, W, 3); None asks for the prompt's concepts.
            prompt: The prompt.
            salt: Distinguishes trials.

        Returns:
            The concepts; empty if none could be named.
        """

    @abstractmethod
    async def captions(self, prompt: str, concepts: list[str], salt: str) -> list[str]:
        """Write search captions, the most important first.

        Args:
            prompt: The prompt.
            concepts: The concepts to search for.
            salt: Distinguishes trials.
        """

    @abstractmethod
    async def rephrase(self, prompt: str, salt: str) -> str:
        """Rephrase the prompt in simpler words."""


class ReadingJudge(Judge):
    """Judge that reads text in images (OCR); it needs no service.

    An image matches if the quoted words of the prompt can be read in it. The judge searches for
    these words.

    Args:
        reader: Folder of a model that reads text.
    """

    def __init__(self, reader: str) -> None:
        self.reader_name = reader

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"reader": identify_model(self.reader_name)}

    @cached_property
    def reader(self) -> Reader:
        """The reader, loaded on first use."""
        return load_reader(self.reader_name)

    async def matches(self, image: RGBImage, prompt: str, salt: str) -> Verdict:
        words = quoted(prompt)
        if not words:
            return "yes"
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1).float().unsqueeze(0) / 255
        text = self.reader(tensor)[0]
        return "yes" if all(reads_as(text, word) for word in words) else "no"

    async def concepts(self, image: RGBImage | None, prompt: str, salt: str) -> list[str]:
        return quoted(prompt)

    async def captions(self, prompt: str, concepts: list[str], salt: str) -> list[str]:
        return concepts

    async def rephrase(self, prompt: str, salt: str) -> str:
        return ", ".join(quoted(prompt)) or prompt


class ServiceJudge(Judge):
    """Multimodal chat model as the judge.

    Each question is a separate request, so no image is paid for twice in one request.

    Args:
        most: Largest number of concepts.
        tries: Requests for concepts while the model refuses, each at a higher temperature.
    """

    needs_service = True

    def __init__(self, most: int = 1, tries: int = 3) -> None:
        self.most, self.tries = most, tries

    async def matches(self, image: RGBImage, prompt: str, salt: str) -> Verdict:
        question = (
            "Does this picture show, in content and in style, what was asked for: "
            f'"{prompt}"? Begin your answer with yes or no.'
        )
        return yes_or_no(await self._ask(question, salt, image))

    async def concepts(self, image: RGBImage | None, prompt: str, salt: str) -> list[str]:
        if image is None:
            question = f'Which visual concepts must an image generator know to draw: "{prompt}"?'
        else:
            question = (
                "What of content or style does this picture lack to be what was asked for: "
                f'"{prompt}"?'
            )
        question += (
            f" Name at most {self.most}, one a line, for example: a red bicycle. Nothing else."
        )
        for attempt in range(self.tries):
            attempt_salt = f"{salt}/{attempt}" if attempt else salt
            answer = await self._ask(question, attempt_salt, image, temperature=0.4 * attempt)
            if not is_refusal(answer):
                return parse_list(answer)[: self.most]
        return []

    async def captions(self, prompt: str, concepts: list[str], salt: str) -> list[str]:
        question = (
            f'To draw "{prompt}", pictures of the following are looked for: '
            f"{'; '.join(concepts)}. For each, give one caption that such a picture would have "
            "and that stands for itself, one a line, nothing else."
        )
        answer = await self._ask(question, salt)
        return [] if is_refusal(answer) else parse_list(answer)

    async def rephrase(self, prompt: str, salt: str) -> str:
        question = (
            "Say this more simply for an image generator, without changing what it means: "
            f'"{prompt}". The new wording only.'
        )
        answer = await self._ask(question, salt)
        return prompt if is_refusal(answer) else answer.strip().strip('"')

    async def _ask(
        self, question: str, salt: str, image: RGBImage | None = None, temperature: float = 0.0
    ) -> str:
        """Ask the chat model a question, with or without an image."""
        assert self.client is not None
        attachments = [] if image is None else [encode_as(image, "jpg")]
        return await self.client.chat([message(question, attachments)], salt, temperature)


def quoted(prompt: str) -> list[str]:
    """Extract the quoted words of a prompt, each once."""
    return list(dict.fromkeys(re.findall(r"['\"]([^'\"]+)['\"]", prompt)))

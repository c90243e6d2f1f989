"""What is put into a chat with a service, and what comes out of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.pages.data_urls import data_url
from images.headers import read_header
from sentinels.service import ServiceError

KINDS = {"jpg": "jpeg", "png": "png", "webp": "webp"}
"""True picture kinds that services take, and their MIME names."""


def message(text: str, pictures: Sequence[bytes] = (), role: str = "user") -> dict[str, Any]:
    """A chat message with picture files, as data URLs of their true kind.

    Raises:
        ValueError: If a picture is of a kind that services do not take.
    """
    urls = [data_url(picture, kind_of(picture)) for picture in pictures]
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    return {
        "role": role,
        "content": parts + [{"type": "image_url", "image_url": {"url": url}} for url in urls],
    }


def kind_of(picture: bytes) -> str:
    """MIME name of a picture file's true kind.

    Raises:
        ValueError: If it is of a kind that services do not take.
    """
    header = read_header(picture)
    if header is None or header.codec not in KINDS:
        msg = f"services take JPEG, PNG and WebP pictures, not {header.codec if header else 'this file'}"
        raise ValueError(msg)
    return KINDS[header.codec]


def answer_text(answer: dict[str, Any]) -> str:
    """The text of a chat answer.

    Raises:
        ServiceError: If it refuses, was cut off, or says nothing.
    """
    try:
        choice = answer["choices"][0]
        said = choice["message"]
        text = said.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        msg = "the service's answer has no message"
        raise ServiceError(msg) from None
    if refusal := said.get("refusal"):
        msg = f"the model refused: {str(refusal)[:200]}"
        raise ServiceError(msg)
    if choice.get("finish_reason") in ("length", "content_filter"):
        msg = f"the model's answer was cut off ({choice['finish_reason']})"
        raise ServiceError(msg)
    if not isinstance(text, str) or not text.strip():
        msg = "the model answered with nothing"
        raise ServiceError(msg)
    return text

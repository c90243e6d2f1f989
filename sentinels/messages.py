"""Chat messages of OpenAI-compatible services: building and parsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.http_status import ServiceError
from engine.pages.data_urls import data_url
from images.headers import read_header

MIME_SUBTYPES = {"jpg": "jpeg", "png": "png", "webp": "webp"}
"""Codecs that services accept, with their MIME subtypes."""


def message(text: str, images: Sequence[bytes] = (), role: str = "user") -> dict[str, Any]:
    """Build a chat message with images as data URLs.

    Args:
        text: The text part.
        images: Contents of JPEG, PNG or WebP files.
        role: Role of the author: ``user``, ``system`` or ``assistant``.

    Raises:
        ValueError: If an image has another codec.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    for image in images:
        url = data_url(image, mime_subtype(image))
        content.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": role, "content": content}


def mime_subtype(image: bytes) -> str:
    """Return the MIME subtype of an image file, by its content.

    Raises:
        ValueError: If services do not accept its codec.
    """
    header = read_header(image)
    if header is None or header.codec not in MIME_SUBTYPES:
        codec = header.codec if header else "this file"
        msg = f"services take JPEG, PNG and WebP images, not {codec}; convert it"
        raise ValueError(msg)
    return MIME_SUBTYPES[header.codec]


def answer_text(answer: dict[str, Any]) -> str:
    """Extract the text of a chat answer.

    Raises:
        ServiceError: If the answer is a refusal, cut off, empty or malformed.
    """
    try:
        choice = answer["choices"][0]
        reply = choice["message"]
        text = reply.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        msg = "the service's answer has no message"
        raise ServiceError(msg) from None
    if refusal := reply.get("refusal"):
        msg = f"the model refused: {str(refusal)[:200]}"
        raise ServiceError(msg)
    if choice.get("finish_reason") in ("length", "content_filter"):
        msg = f"the model's answer was cut off ({choice['finish_reason']})"
        raise ServiceError(msg)
    if not isinstance(text, str) or not text.strip():
        msg = "the model answered with nothing"
        raise ServiceError(msg)
    return text

"""Requests for generated images, and parsing of their answers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.http_status import ServiceError
from sentinels.messages import message, mime_subtype

URL = re.compile(r"https?://[^\s)\"'<>]+")


@dataclass(frozen=True)
class ServiceRequest:
    """A request to a service.

    Attributes:
        path: Endpoint, relative to the service's URL.
        body: Fields of the request.
        files: Uploaded files in the form of httpx; None sends the body as JSON.
    """

    path: str
    body: dict[str, Any]
    files: list[tuple[str, Any]] | None = None


def images_request(
    model: str, prompt: str, references: Sequence[bytes], size: str
) -> ServiceRequest:
    """Build a request to the Images API.

    Args:
        model: Name of the image model.
        prompt: Description of the image.
        references: Contents of JPEG, PNG or WebP files to edit; none generates from text alone.
        size: Size as the API takes it, such as "1024x1024".

    Raises:
        ValueError: If a reference has another codec.
    """
    body: dict[str, Any] = {"model": model, "prompt": prompt, "size": size, "n": 1}
    if not references:
        return ServiceRequest("images/generations", body)
    files = []
    for number, reference in enumerate(references):
        subtype = mime_subtype(reference)
        files.append(("image[]", (f"{number}.{subtype}", reference, f"image/{subtype}")))
    return ServiceRequest("images/edits", body, files)


def parse_images_answer(answer: dict[str, Any]) -> bytes | str:
    """Extract the image file, or its URL, from an answer of the Images API.

    Raises:
        ServiceError: If the answer has neither.
    """
    try:
        image = answer["data"][0]
        if image.get("b64_json"):
            return base64.b64decode(image["b64_json"], validate=True)
        return str(image["url"])
    except (KeyError, IndexError, TypeError, AttributeError, binascii.Error) as error:
        msg = f"the service's answer holds no image ({type(error).__name__})"
        raise ServiceError(msg) from None


def chat_request(model: str, prompt: str, references: Sequence[bytes], size: str) -> ServiceRequest:
    """Build a chat request that asks for the URL of a generated image.

    Args:
        model: Name of the image model.
        prompt: Description of the image.
        references: Contents of JPEG, PNG or WebP files to go by.
        size: Size in pixels, such as "1024x1024".

    Raises:
        ValueError: If a reference has another codec.
    """
    text = (
        f"{prompt}\n\nSize: {size}. "
        "Answer with the direct URL of the finished picture and nothing else."
    )
    body = {"model": model, "messages": [message(text, references)], "n": 1}
    return ServiceRequest("chat/completions", body)


def find_url(text: str) -> str | None:
    """Return the first http or https URL of a text, or None."""
    match = URL.search(text)
    return match.group(0) if match else None

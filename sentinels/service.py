"""Settings of OpenAI-compatible services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from engine.http_status import RunEnds


class CallLimitReached(RunEnds):
    """Signal that the request limit is reached."""


@dataclass(frozen=True)
class Service:
    """Address, models and limits of a service.

    Attributes:
        base_url: URL of an OpenAI-compatible service.
        chat_model: Model that reads, describes and judges images.
        image_model: Model that generates images.
        drawing: How images arrive: through the Images API (``images``), or as a URL in a chat
            answer (``chat``).
        key_variable: Environment variable with the API key; may be unset for a service on this
            machine.
        timeout: Seconds for one request, answer included.
        concurrency: Parallel requests.
        attempts: Attempts per request; the wait between them doubles.
        max_calls: Requests before the run stops, failed ones included; None for no limit.
        max_megabytes: Largest answer that is read, in MiB.
        chat_price: Price of one chat request in any currency, for the estimate; 0 if unknown.
        image_price: Price of one generated image, likewise.

    Raises:
        ValueError: If the URL or a limit is out of range.
    """

    base_url: str = "https://api.openai.com/v1"
    chat_model: str = "gpt-4o"
    image_model: str = "gpt-image-1"
    drawing: Literal["images", "chat"] = "images"
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 180.0
    concurrency: int = 4
    attempts: int = 6
    max_calls: int | None = None
    max_megabytes: int = 32
    chat_price: float = 0.0
    image_price: float = 0.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
        if not is_web or parts.username or parts.query:
            msg = (
                "base_url must be http(s)://HOST/..., without a user name or a query, "
                f"got '{self.base_url}'"
            )
            raise ValueError(msg)
        if self.timeout <= 0 or self.concurrency < 1 or self.attempts < 1 or self.max_megabytes < 1:
            msg = (
                "timeout, concurrency, attempts and max_megabytes must be positive, got "
                f"{self.timeout:g}, {self.concurrency}, {self.attempts} and {self.max_megabytes}"
            )
            raise ValueError(msg)

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine the answers, for a manifest."""
        return {
            "base_url": self.base_url,
            "chat_model": self.chat_model,
            "image_model": self.image_model,
            "drawing": self.drawing,
        }

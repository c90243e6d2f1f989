"""A service that speaks OpenAI's API: where it is, how it is asked, and how it may fail."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from engine.stopping import EndsJob


class ServiceError(ValueError):
    """The service did not give what was asked for; another try of the same would not either."""


class RunEnds(ServiceError, EndsJob):
    """No further request of the run can succeed."""


class CallLimitReached(RunEnds):
    """As many requests were made as were allowed."""


class KeyRefused(RunEnds):
    """The service does not know the API key."""


@dataclass(frozen=True)
class Service:
    """Where and how to ask.

    Attributes:
        base_url: Of any OpenAI-compatible service.
        chat_model: Model that looks, describes and answers.
        image_model: Model that draws.
        drawing: How it draws: through the Images API (``images``), or as an URL in a chat answer (``chat``).
        key_variable: Environment variable with the API key. It may be unset for a service on this machine.
        timeout: Seconds for one request, answer included.
        concurrency: Requests at a time.
        attempts: Tries of one request, waits doubling between them.
        max_calls: Requests in all, failed ones included, before the run stops; None for any number.
        max_megabytes: Largest answer that is read.
        chat_price: Price of one chat request, in any currency, for the estimate; 0 if not known.
        image_price: Price of one picture.
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
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
        ):
            msg = f"base_url must be http(s)://HOST/..., without a user name or a query, got '{self.base_url}'"
            raise ValueError(msg)
        if self.timeout <= 0 or self.concurrency < 1 or self.attempts < 1 or self.max_megabytes < 1:
            msg = "timeout, concurrency, attempts and max_megabytes must be positive"
            raise ValueError(msg)

    def settings(self) -> dict[str, Any]:
        """What decides the answers, for a manifest."""
        return {
            key: asdict(self)[key] for key in ("base_url", "chat_model", "image_model", "drawing")
        }

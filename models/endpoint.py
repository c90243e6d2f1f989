"""Embedders behind OpenAI-compatible endpoints, named ``https://HOST/v1#MODEL``.

Texts are sent as OpenAI's API takes them. Images are sent as items with a data URL, as Jina's
extension of it takes them: ``{"image": "data:image/png;base64,..."}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from tenacity import Retrying
from torch import Tensor, nn

from engine.http_status import (
    RetryableStatus,
    ServiceError,
    raise_for_status,
    read_api_key,
    redact,
)
from engine.pages.data_urls import data_url
from engine.retries import TransientFault, retry_settings
from images.io import encode_as, to_uint8
from models.preprocessing import Preprocessing

KEY_VARIABLE = "EMBEDDINGS_API_KEY"
"""Environment variable with the API key; may be unset for a service on this machine."""

VIEW = Preprocessing(
    side=448, resize=448, filter="bicubic", mean=(0.0,) * 3, std=(1.0,) * 3, on="uint8"
)
"""Preparation of images to send: the center square, which smaller models take whole."""

TIMEOUT_S = 120.0
"""Longest wait for an answer."""

MAX_ANSWER_BYTES = 64 * 2**20
"""Size of the largest answer that is read."""


def is_endpoint(name: str) -> bool:
    """Return True if an embedder's name is that of an endpoint."""
    return name.startswith(("http://", "https://"))


class EndpointEmbedder(nn.Module):
    """Network of an embedder that sends images and texts to an endpoint.

    Args:
        name: ``https://HOST/v1#MODEL``.
        first_wait: Seconds before the first retry.

    Raises:
        ValueError: If the name lacks the model, or there is no API key.
    """

    def __init__(self, name: str, first_wait: float = 1.0) -> None:
        super().__init__()
        self.url, _, self.model = name.partition("#")
        if not self.model or "?" in self.url or "@" in self.url:
            msg = f"an endpoint is named https://HOST/v1#MODEL, without secrets; got '{name}'"
            raise ValueError(msg)
        self._key = read_api_key(self.url, KEY_VARIABLE)
        self.first_wait = first_wait

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of the endpoint's name; its weights are not known."""
        return hashlib.sha256(f"{self.url}#{self.model}".encode()).hexdigest()

    def forward(self, views: Tensor) -> Tensor:
        """Embed (B, 3, S, S) images in [0, 1] to (B, D)."""
        arrays = to_uint8(views).permute(0, 2, 3, 1).cpu().numpy()
        return self._embed([{"image": data_url(encode_as(rgb, "png"), "png")} for rgb in arrays])

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed N texts to (N, D)."""
        return self._embed(list(texts))

    def _embed(self, items: list[Any]) -> Tensor:
        """Request the vectors of items, with retries.

        Raises:
            KeyRefused: If the service rejects the API key.
            ServiceError: If it fails for good, or its answer is not one vector for each item.
        """
        body = {"model": self.model, "input": items, "encoding_format": "float"}
        retrying = Retrying(**retry_settings(self._transient_fault, first_wait=self.first_wait))
        try:
            answer = retrying(self._post, body)
        except RetryableStatus as error:
            msg = f"{self.url} gave up on: {error.fault.message}"
            raise ServiceError(msg) from None
        except (OSError, json.JSONDecodeError) as error:
            msg = f"{self.url} gave up on: {redact(str(error), self._key)}"
            raise ServiceError(msg) from None
        return self._vectors(answer, len(items))

    def _post(self, body: dict[str, Any]) -> Any:
        """Send one request and return its answer."""
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        content = bytearray()
        try:
            with httpx2.stream(
                "POST",
                f"{self.url.rstrip('/')}/embeddings",
                json=body,
                headers=headers,
                timeout=TIMEOUT_S,
                follow_redirects=False,
            ) as response:
                for part in response.iter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER_BYTES:
                        msg = f"{self.url}: more than {MAX_ANSWER_BYTES >> 20} MiB in one answer"
                        raise ServiceError(msg)
                text = redact(content.decode(errors="replace"), self._key)
                retry_after = response.headers.get("retry-after")
                raise_for_status(response.status_code, retry_after, text)
        except httpx2.HTTPError as error:
            raise OSError(f"{type(error).__name__}: {error}") from None  # noqa: EM102
        return json.loads(content)

    def _transient_fault(self, error: BaseException) -> TransientFault | None:
        """Describe a transient error; return None if it is permanent."""
        if isinstance(error, RetryableStatus):
            return error.fault
        if isinstance(error, OSError | json.JSONDecodeError):
            return TransientFault(redact(str(error), self._key))
        return None

    def _vectors(self, answer: Any, count: int) -> Tensor:
        """Parse the vectors of an answer, in the order of the items."""
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = torch.tensor([row["embedding"] for row in rows], dtype=torch.float32)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{self.url}: its answer holds no vectors ({type(error).__name__})"
            raise ServiceError(msg) from None
        if vectors.ndim != 2 or len(vectors) != count:
            msg = f"{self.url}: {tuple(vectors.shape)} vectors for {count} items"
            raise ServiceError(msg)
        return vectors

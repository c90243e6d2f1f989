"""A small asynchronous client of OpenAI-compatible services: chat with pictures, and the Images API.

Every answer is kept on disk under a hash of its question, so that a run that was stopped pays for nothing twice. The API key is read
from the environment, is sent to the service alone, and is taken out of every message.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from datamodules.headers import read_header
from datamodules.images import UnreadableImage, data_url, decode_photo, write_bytes
from sentinels.fetch import fetch, is_local, read_bounded

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT = 120.0
"""Seconds; a service that asks for more is given up."""

KINDS = {"jpg": "jpeg", "png": "png", "webp": "webp"}
"""True picture kinds that services take, and their MIME names."""


class ServiceError(ValueError):
    """The service did not give what was asked for; another try of the same would not either."""


class CallLimitReached(ServiceError):
    """As many requests were made as were allowed."""


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
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            msg = f"base_url must be http(s)://HOST/..., without a user name or a query, got '{self.base_url}'"
            raise ValueError(msg)
        if self.timeout <= 0 or self.concurrency < 1 or self.attempts < 1 or self.max_megabytes < 1:
            msg = "timeout, concurrency, attempts and max_megabytes must be positive"
            raise ValueError(msg)

    def settings(self) -> dict[str, Any]:
        """What decides the answers, for a manifest."""
        return {key: asdict(self)[key] for key in ("base_url", "chat_model", "image_model", "drawing")}


@dataclass
class Client:
    """Asks a service, waiting and retrying as it wishes; to be used as ``async with``.

    Args:
        service: Which.
        cache: Folder of the answers; those in it are not paid for again.

    Raises:
        ValueError: If the service needs a key and the environment has none, or the key would travel unencrypted.
    """

    service: Service
    cache: Path
    calls: int = field(default=0, init=False)
    cached: int = field(default=0, init=False)
    first_wait: float = 1.0

    def __post_init__(self) -> None:
        self._key = os.environ.get(self.service.key_variable, "")
        parts = urlsplit(self.service.base_url)
        if not self._key and not is_local(parts.hostname or ""):
            msg = f"no API key: set the environment variable {self.service.key_variable}"
            raise ValueError(msg)
        if self._key and parts.scheme == "http" and not is_local(parts.hostname or ""):
            msg = f"{self.service.base_url}: the API key would travel unencrypted; use https"
            raise ValueError(msg)

    async def __aenter__(self) -> Client:
        self._slots = asyncio.Semaphore(self.service.concurrency)
        self._http = httpx2.AsyncClient(timeout=self.service.timeout, follow_redirects=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def chat(self, messages: Sequence[Mapping[str, Any]], salt: str = "", temperature: float = 0.0) -> str:
        """The text of one answer.

        Args:
            messages: As the chat API takes them; see :func:`message`.
            salt: Tells apart askings of the same that should be answered anew.
            temperature: Of sampling.

        Raises:
            ServiceError: If it refuses, fails for good, or its answer was cut off.
        """
        body = {"model": self.service.chat_model, "messages": list(messages), "temperature": temperature}
        place = self._place("chat", body, salt)
        if (kept := _kept(place)) is not None:
            self.cached += 1
            return str(json.loads(kept)["text"])
        text = _answer_text(await self._ask("chat/completions", body))
        write_bytes(place, json.dumps({"text": text}).encode())
        return text

    async def draw(self, prompt: str, references: Sequence[bytes] = (), size: str = "1024x1024", salt: str = "") -> bytes:
        """A picture file that was drawn for a prompt; it is known to decode.

        Args:
            prompt: What to draw.
            references: Picture files to go by.
            size: As the service takes it.
            salt: As for :meth:`chat`.

        Raises:
            ServiceError: As for :meth:`chat`, or if what came is no picture.
        """
        digests = [hashlib.sha256(reference).hexdigest() for reference in references]
        about = {"model": self.service.image_model, "prompt": prompt, "size": size, "references": digests}
        place = self._place("draw", about | {"way": self.service.drawing}, salt)
        if (kept := _kept(place)) is not None:
            self.cached += 1
            return kept
        content = await (self._draw_in_chat if self.service.drawing == "chat" else self._draw_by_images)(prompt, references, size)
        try:
            decode_photo(BytesIO(content), "the picture that the service sent")
        except UnreadableImage as error:
            raise ServiceError(self._clean(str(error))) from None
        write_bytes(place, content)
        return content

    async def _draw_by_images(self, prompt: str, references: Sequence[bytes], size: str) -> bytes:
        body: dict[str, Any] = {"model": self.service.image_model, "prompt": prompt, "size": size, "n": 1}
        if references:
            files = [("image[]", (f"{i}.{_kind(ref)}", ref, f"image/{_kind(ref)}")) for i, ref in enumerate(references)]
            answer = await self._ask("images/edits", body, files)
        else:
            answer = await self._ask("images/generations", body)
        try:
            drawn = answer["data"][0]
            if drawn.get("b64_json"):
                return base64.b64decode(drawn["b64_json"], validate=True)
            url = drawn["url"]
        except (KeyError, IndexError, TypeError, AttributeError, binascii.Error) as error:
            msg = f"the service's answer holds no picture ({type(error).__name__})"
            raise ServiceError(msg) from None
        return await self._fetch(str(url))

    async def _draw_in_chat(self, prompt: str, references: Sequence[bytes], size: str) -> bytes:
        content = message(f"{prompt}\n\nSize: {size}. Answer with the direct URL of the finished picture and nothing else.", references)
        text = _answer_text(await self._ask("chat/completions", {"model": self.service.image_model, "messages": [content], "n": 1}))
        found = re.search(r"https?://[^\s)\"'<>]+", text)
        if not found:
            msg = f"the service sent no URL of a picture but: {self._clean(text)[:200]}"
            raise ServiceError(msg)
        return await self._fetch(found.group(0))

    async def _fetch(self, url: str) -> bytes:
        limit = self.service.max_megabytes * 2**20
        return await self._patiently(lambda: fetch(url, self.service.base_url, limit, self.service.timeout), "the picture's URL")

    async def _ask(self, path: str, body: dict[str, Any], files: Sequence[tuple[str, Any]] | None = None) -> dict[str, Any]:
        url = f"{self.service.base_url.rstrip('/')}/{path}"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        how: dict[str, Any] = {"data": {key: str(value) for key, value in body.items()}, "files": files} if files else {"json": body}

        async def once() -> dict[str, Any]:
            if self.service.max_calls is not None and self.calls >= self.service.max_calls:
                msg = f"stopped after {self.calls} requests, as max_calls says; start again to go on, answers so far are kept"
                raise CallLimitReached(msg)
            self.calls += 1
            async with self._http.stream("POST", url, headers=headers, **how) as response:
                content = await read_bounded(response, self.service.max_megabytes * 2**20)
                _raise_for(response, content)
            found = json.loads(content)  # a body that was cut off is tried again
            if not isinstance(found, dict):
                msg = "the service's answer is not a JSON object"
                raise ServiceError(msg)
            return found

        async with self._slots:
            return await self._patiently(once, path)

    async def _patiently(self, once: Any, what: str) -> Any:
        """Try until it works, waiting longer each time, or as long as the service says."""
        trouble = ""
        for attempt in range(self.service.attempts):
            wait = self.first_wait * 2**attempt * random.uniform(0.75, 1.25)
            try:
                async with asyncio.timeout(self.service.timeout):
                    return await once()
            except _Again as again:
                trouble = str(again)
                wait = again.after if again.after is not None else wait
            except TimeoutError:
                trouble = f"no answer within {self.service.timeout:g} s"
            except (httpx2.HTTPError, OSError) as error:
                trouble = f"{type(error).__name__}: {error}"
            except (json.JSONDecodeError, UnicodeDecodeError):
                trouble = "its answer is not JSON, or was cut off"
            except CallLimitReached:
                raise
            except ValueError as error:
                raise ServiceError(self._clean(str(error))) from None
            if wait > LONGEST_WAIT:
                trouble += f"; it asks to wait {wait:.0f} s"
                break
            if attempt + 1 < self.service.attempts:
                await asyncio.sleep(min(wait, LONGEST_WAIT))
        msg = f"{self.service.base_url} ({what}) gave up on: {trouble}"
        raise ServiceError(self._clean(msg))

    def _place(self, kind: str, question: Mapping[str, Any], salt: str) -> Path:
        about = json.dumps([self.service.base_url, kind, question, salt], sort_keys=True).encode()
        digest = hashlib.sha256(about).hexdigest()
        return self.cache / digest[:2] / f"{digest}.{'json' if kind == 'chat' else 'bin'}"

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[API key]") if self._key else text


class _Again(Exception):
    """Worth another try, after so many seconds if the service said."""

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


def message(text: str, pictures: Sequence[bytes] = (), role: str = "user") -> dict[str, Any]:
    """A chat message with picture files, as data URLs of their true kind.

    Raises:
        ValueError: If a picture is of a kind that services do not take.
    """
    urls = [data_url(picture, _kind(picture)) for picture in pictures]
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    return {"role": role, "content": parts + [{"type": "image_url", "image_url": {"url": url}} for url in urls]}


def _kind(picture: bytes) -> str:
    header = read_header(picture)
    if header is None or header.codec not in KINDS:
        msg = f"services take JPEG, PNG and WebP pictures, not {header.codec if header else 'this file'}"
        raise ValueError(msg)
    return KINDS[header.codec]


def _kept(place: Path) -> bytes | None:
    return place.read_bytes() if place.is_file() else None


def _answer_text(answer: dict[str, Any]) -> str:
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


def _raise_for(response: httpx2.Response, content: bytes) -> None:
    if response.status_code < 300:
        return
    said = content[:300].decode(errors="replace")
    trouble = f"status {response.status_code}: {said}"
    if response.status_code in RETRIED:
        raise _Again(trouble, _retry_after(response.headers.get("retry-after")))
    advice = "; check the API key" if response.status_code in (401, 403) else ""
    raise ServiceError(trouble + advice)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or as a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None

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
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import httpx2
from tenacity import AsyncRetrying

from engine.addresses import is_loopback
from engine.files import write_bytes
from engine.records import parse_json
from engine.retries import (
    MAX_WAIT_S,
    TRANSIENT_STATUSES,
    TransientFault,
    parse_retry_after,
    retry_settings,
)
from images.io import UnreadableImage, decode_photo
from sentinels.fetch import fetch, read_bounded
from sentinels.messages import answer_text, kind_of, message
from sentinels.service import CallLimitReached, KeyRefused, RunEnds, Service, ServiceError

RETRIED = TRANSIENT_STATUSES | {409, 529}
"""Statuses after which the same is asked again."""


class Kept(TypedDict):
    """An answer on disk."""

    text: str


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
        self._over: RunEnds | None = None
        self._key = os.environ.get(self.service.key_variable, "")
        parts = urlsplit(self.service.base_url)
        if not self._key and not is_loopback(parts.hostname or ""):
            msg = f"no API key: set the environment variable {self.service.key_variable}"
            raise ValueError(msg)
        if self._key and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            msg = f"{self.service.base_url}: the API key would travel unencrypted; use https"
            raise ValueError(msg)

    async def __aenter__(self) -> Client:
        self._slots = asyncio.Semaphore(self.service.concurrency)
        self._http = httpx2.AsyncClient(timeout=self.service.timeout, follow_redirects=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def chat(
        self, messages: Sequence[Mapping[str, Any]], salt: str = "", temperature: float = 0.0
    ) -> str:
        """The text of one answer.

        Args:
            messages: As the chat API takes them; see :func:`message`.
            salt: Tells apart askings of the same that should be answered anew.
            temperature: Of sampling.

        Raises:
            ServiceError: If it refuses, fails for good, or its answer was cut off.
        """
        body = {
            "model": self.service.chat_model,
            "messages": list(messages),
            "temperature": temperature,
        }
        place = self._place("chat", body, salt)
        if (kept := _kept(place)) is not None:
            self.cached += 1
            return parse_json(kept, Kept, str(place), "delete it to ask again")["text"]
        text = answer_text(await self._ask("chat/completions", body))
        write_bytes(place, json.dumps({"text": text}).encode())
        return text

    async def draw(
        self, prompt: str, references: Sequence[bytes] = (), size: str = "1024x1024", salt: str = ""
    ) -> bytes:
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
        about = {
            "model": self.service.image_model,
            "prompt": prompt,
            "size": size,
            "references": digests,
        }
        place = self._place("draw", about | {"way": self.service.drawing}, salt)
        if (kept := _kept(place)) is not None:
            self.cached += 1
            return kept
        linked = place.with_suffix(".url")
        content = await self._drawn(linked, prompt, references, size)
        try:
            decode_photo(BytesIO(content), "the picture that the service sent")
        except UnreadableImage as error:
            linked.unlink(missing_ok=True)
            raise ServiceError(self._clean(str(error))) from None
        write_bytes(place, content)
        linked.unlink(missing_ok=True)
        return content

    async def _drawn(
        self, linked: Path, prompt: str, references: Sequence[bytes], size: str
    ) -> bytes:
        """A picture file; where its link is sent instead, that is kept until it is fetched, as it is paid for."""
        if linked.is_file():
            with suppress(ServiceError):  # a link may have expired
                return await self._fetch(linked.read_text())
        drawn = await (
            self._draw_in_chat if self.service.drawing == "chat" else self._draw_by_images
        )(prompt, references, size)
        if isinstance(drawn, bytes):
            return drawn
        write_bytes(linked, drawn.encode())
        return await self._fetch(drawn)

    async def _draw_by_images(
        self, prompt: str, references: Sequence[bytes], size: str
    ) -> bytes | str:
        body: dict[str, Any] = {
            "model": self.service.image_model,
            "prompt": prompt,
            "size": size,
            "n": 1,
        }
        if references:
            files = [
                ("image[]", (f"{i}.{kind_of(ref)}", ref, f"image/{kind_of(ref)}"))
                for i, ref in enumerate(references)
            ]
            answer = await self._ask("images/edits", body, files)
        else:
            answer = await self._ask("images/generations", body)
        try:
            drawn = answer["data"][0]
            if drawn.get("b64_json"):
                return base64.b64decode(drawn["b64_json"], validate=True)
            return str(drawn["url"])
        except (KeyError, IndexError, TypeError, AttributeError, binascii.Error) as error:
            msg = f"the service's answer holds no picture ({type(error).__name__})"
            raise ServiceError(msg) from None

    async def _draw_in_chat(self, prompt: str, references: Sequence[bytes], size: str) -> str:
        content = message(
            f"{prompt}\n\nSize: {size}. Answer with the direct URL of the finished picture and nothing else.",
            references,
        )
        text = answer_text(
            await self._ask(
                "chat/completions",
                {"model": self.service.image_model, "messages": [content], "n": 1},
            )
        )
        found = re.search(r"https?://[^\s)\"'<>]+", text)
        if not found:
            msg = f"the service sent no URL of a picture but: {self._clean(text)[:200]}"
            raise ServiceError(msg)
        return found.group(0)

    async def _fetch(self, url: str) -> bytes:
        limit = self.service.max_megabytes * 2**20
        return await self._patiently(
            lambda: fetch(url, self.service.base_url, limit, self.service.timeout),
            "the picture's URL",
        )

    async def _ask(
        self, path: str, body: dict[str, Any], files: Sequence[tuple[str, Any]] | None = None
    ) -> dict[str, Any]:
        url = f"{self.service.base_url.rstrip('/')}/{path}"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        how: dict[str, Any] = (
            {"data": {key: str(value) for key, value in body.items()}, "files": files}
            if files
            else {"json": body}
        )

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

    async def _patiently(self, once: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Try until it works, waiting longer each time, or as long as the service says."""
        if self._over is not None:
            raise self._over

        async def in_time() -> Any:
            async with asyncio.timeout(self.service.timeout):
                return await once()

        try:
            return await AsyncRetrying(
                **retry_settings(self._passing, self.service.attempts, self.first_wait)
            )(in_time)
        except RunEnds as error:
            self._over = type(error)(self._clean(str(error)))
            raise self._over from None
        except Exception as error:
            fault = self._passing(error)
            if fault is None and isinstance(error, ValueError):
                raise ServiceError(self._clean(str(error))) from None
            if fault is None:
                raise
            asks = (
                f"; it asks to wait {fault.retry_after_s:.0f} s"
                if (fault.retry_after_s or 0) > MAX_WAIT_S
                else ""
            )
            msg = f"{self.service.base_url} ({what}) gave up on: {fault.message}{asks}"
            raise ServiceError(self._clean(msg)) from None

    def _passing(self, error: BaseException) -> TransientFault | None:
        """Tell what is passing of an error, without the key; None if it lasts."""
        if isinstance(error, _Again):
            return TransientFault(self._clean(error.passing.message), error.passing.retry_after_s)
        if isinstance(error, TimeoutError):
            return TransientFault(f"no answer within {self.service.timeout:g} s")
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            return TransientFault("its answer is not JSON, or was cut off")
        if isinstance(error, httpx2.HTTPError | OSError):
            return TransientFault(self._clean(f"{type(error).__name__}: {error}"))
        return None

    def _place(self, kind: str, question: Mapping[str, Any], salt: str) -> Path:
        about = json.dumps([self.service.base_url, kind, question, salt], sort_keys=True).encode()
        digest = hashlib.sha256(about).hexdigest()
        return self.cache / digest[:2] / f"{digest}.{'json' if kind == 'chat' else 'bin'}"

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[API key]") if self._key else text


class _Again(Exception):
    """Worth another try."""

    def __init__(self, passing: TransientFault) -> None:
        super().__init__(passing.message)
        self.passing = passing


def _kept(place: Path) -> bytes | None:
    return place.read_bytes() if place.is_file() else None


def _raise_for(response: httpx2.Response, content: bytes) -> None:
    if response.status_code < 300:
        return
    said = content[:300].decode(errors="replace")
    trouble = f"status {response.status_code}: {said}"
    if response.status_code in RETRIED:
        raise _Again(
            TransientFault(trouble, parse_retry_after(response.headers.get("retry-after")))
        )
    if response.status_code == 401:
        msg = f"{trouble}; check the API key"
        raise KeyRefused(msg)
    advice = "; check the API key" if response.status_code == 403 else ""
    raise ServiceError(trouble + advice)

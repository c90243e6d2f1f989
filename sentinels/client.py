"""Asynchronous client of OpenAI-compatible services: chat with images, and the Images API.

Every answer is cached on disk under a hash of its request, so that a resumed run pays for nothing
twice. The API key is read from the environment, is sent to the service alone, and is removed from
every message.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypedDict

import httpx2
from tenacity import AsyncRetrying

from engine.files import write_bytes
from engine.http_status import (
    RetryableStatus,
    RunEnds,
    ServiceError,
    raise_for_status,
    read_api_key,
    redact,
)
from engine.records import parse_json
from engine.retries import MAX_WAIT_S, TransientFault, retry_settings
from images.io import decode_photo
from images.kinds import UnreadableImage
from sentinels.fetch import fetch, read_bounded
from sentinels.image_requests import (
    ServiceRequest,
    chat_request,
    find_url,
    images_request,
    parse_images_answer,
)
from sentinels.messages import answer_text
from sentinels.service import CallLimitReached, Service


class CachedAnswer(TypedDict):
    """A chat answer in the cache."""

    text: str


@dataclass
class Client:
    """Send requests to a service, with cache, concurrency limit and retries.

    Use it as ``async with``.

    Args:
        service: Address, models and limits.
        cache: Folder of the answers; those in it are not paid for again.
        first_wait: Seconds before the first retry.

    Attributes:
        calls: Number of requests sent, failed ones included.
        cached: Number of answers taken from the cache.

    Raises:
        ValueError: If the service needs an API key and the environment has none, or the key would
            travel unencrypted.
    """

    service: Service
    cache: Path
    calls: int = field(default=0, init=False)
    cached: int = field(default=0, init=False)
    first_wait: float = 1.0

    def __post_init__(self) -> None:
        self._final_error: RunEnds | None = None
        self._key = read_api_key(self.service.base_url, self.service.key_variable)

    async def __aenter__(self) -> Client:
        self._ended = asyncio.Event()
        self._slots = asyncio.Semaphore(self.service.concurrency)
        self._http = httpx2.AsyncClient(timeout=self.service.timeout, follow_redirects=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def chat(
        self, messages: Sequence[Mapping[str, Any]], salt: str = "", temperature: float = 0.0
    ) -> str:
        """Return the text of one chat answer.

        Args:
            messages: Messages of the chat API; see :func:`message`.
            salt: Distinguishes repeated requests that need separate answers.
            temperature: Sampling temperature, at least 0.

        Raises:
            ServiceError: If the service refuses, fails for good, or its answer was cut off.
        """
        body = {
            "model": self.service.chat_model,
            "messages": list(messages),
            "temperature": temperature,
        }
        path = self._cache_path("chat", body, salt)
        content = _read_if_exists(path)
        if content is not None:
            self.cached += 1
            return parse_json(content, CachedAnswer, str(path), "delete it to ask again")["text"]
        text = answer_text(await self._post(ServiceRequest("chat/completions", body)))
        write_bytes(path, json.dumps({"text": text}).encode())
        return text

    async def draw(
        self, prompt: str, references: Sequence[bytes] = (), size: str = "1024x1024", salt: str = ""
    ) -> bytes:
        """Generate an image and return its file, which is known to decode.

        Args:
            prompt: Description of the image.
            references: Contents of JPEG, PNG or WebP files to go by.
            size: Size as the service takes it, such as "1024x1024".
            salt: As for :meth:`chat`.

        Raises:
            ServiceError: As for :meth:`chat`, or if the answer is not an image.
        """
        # Look the request up in the cache.
        digests = [hashlib.sha256(reference).hexdigest() for reference in references]
        fields = {
            "model": self.service.image_model,
            "prompt": prompt,
            "size": size,
            "references": digests,
            "way": self.service.drawing,
        }
        path = self._cache_path("draw", fields, salt)
        cached = _read_if_exists(path)
        if cached is not None:
            self.cached += 1
            return cached
        # Request the image; keep nothing that does not decode.
        url_file = path.with_suffix(".url")
        content = await self._request_image(url_file, prompt, references, size)
        try:
            decode_photo(BytesIO(content), "the image that the service sent")
        except UnreadableImage as error:
            url_file.unlink(missing_ok=True)
            raise ServiceError(self._redact(str(error))) from None
        write_bytes(path, content)
        url_file.unlink(missing_ok=True)
        return content

    async def _request_image(
        self, url_file: Path, prompt: str, references: Sequence[bytes], size: str
    ) -> bytes:
        """Return an image file.

        If the service sends a URL instead, the URL is stored until its file is fetched, because
        the image is paid for.
        """
        if url_file.is_file():
            # The URL may have expired.
            with suppress(ServiceError):
                return await self._fetch(url_file.read_text())
        if self.service.drawing == "chat":
            request = chat_request(self.service.image_model, prompt, references, size)
            image: bytes | str = self._expect_url(answer_text(await self._post(request)))
        else:
            request = images_request(self.service.image_model, prompt, references, size)
            image = parse_images_answer(await self._post(request))
        if isinstance(image, bytes):
            return image
        write_bytes(url_file, image.encode())
        return await self._fetch(image)

    def _expect_url(self, text: str) -> str:
        """Return the URL in a chat answer; raise ServiceError if it has none."""
        url = find_url(text)
        if url is None:
            msg = f"the service sent no URL of an image but: {self._redact(text)[:200]}"
            raise ServiceError(msg)
        return url

    async def _fetch(self, url: str) -> bytes:
        """Download an image with retries."""
        limit = self.service.max_megabytes * 2**20
        return await self._retry(
            lambda: fetch(url, self.service.base_url, limit, self.service.timeout),
            "the image's URL",
        )

    async def _post(self, request: ServiceRequest) -> dict[str, Any]:
        """Send a request with retries and return the JSON object of its answer."""
        url = f"{self.service.base_url.rstrip('/')}/{request.path}"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        payload: dict[str, Any] = {"json": request.body}
        if request.files:
            form = {key: str(value) for key, value in request.body.items()}
            payload = {"data": form, "files": request.files}

        async def send() -> dict[str, Any]:
            self._count_call()
            async with self._http.stream("POST", url, headers=headers, **payload) as response:
                content = await read_bounded(response, self.service.max_megabytes * 2**20)
                text = self._redact(content.decode(errors="replace"))
                raise_for_status(response.status_code, response.headers.get("retry-after"), text)
            # A truncated body raises JSONDecodeError and is requested again.
            answer = json.loads(content)
            if not isinstance(answer, dict):
                msg = "the service's answer is not a JSON object"
                raise ServiceError(msg)
            return answer

        async with self._slots:
            return await self._retry(send, request.path)

    def _count_call(self) -> None:
        """Count a request; raise CallLimitReached if no more are allowed."""
        if self.service.max_calls is not None and self.calls >= self.service.max_calls:
            msg = (
                f"stopped after {self.calls} requests (max_calls); all answers are kept, "
                "repeat the command to go on"
            )
            raise CallLimitReached(msg)
        self.calls += 1

    async def _retry(self, send: Callable[[], Awaitable[Any]], target: str) -> Any:
        """Repeat a request until it succeeds, fails for good, or has used its attempts.

        The wait grows with each attempt, or is as long as the service asks for. An error that ends
        the run ends all waits.
        """

        async def in_time() -> Any:
            if self._final_error is not None:
                raise self._final_error
            async with asyncio.timeout(self.service.timeout):
                return await send()

        settings = retry_settings(self._transient_fault, self.service.attempts, self.first_wait)
        try:
            return await AsyncRetrying(sleep=self._sleep, **settings)(in_time)
        except RunEnds as error:
            self._final_error = self._final_error or error
            self._ended.set()
            raise self._final_error from None
        except Exception as error:
            fault = self._transient_fault(error)
            if fault is None and isinstance(error, ValueError):
                raise ServiceError(self._redact(str(error))) from None
            if fault is None:
                raise
            too_long = (fault.retry_after_s or 0) > MAX_WAIT_S
            wait = f"; it asks to wait {fault.retry_after_s:.0f} s" if too_long else ""
            msg = f"{self.service.base_url} ({target}) gave up on: {fault.message}{wait}"
            raise ServiceError(self._redact(msg)) from None

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run ends."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _transient_fault(self, error: BaseException) -> TransientFault | None:
        """Describe a transient error, without the API key; return None if it is permanent."""
        if isinstance(error, RetryableStatus):
            return TransientFault(self._redact(error.fault.message), error.fault.retry_after_s)
        if isinstance(error, TimeoutError):
            return TransientFault(f"no answer within {self.service.timeout:g} s")
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            return TransientFault("its answer is not JSON, or was cut off")
        if isinstance(error, httpx2.HTTPError | OSError):
            return TransientFault(self._redact(f"{type(error).__name__}: {error}"))
        return None

    def _cache_path(self, kind: str, fields: Mapping[str, Any], salt: str) -> Path:
        """Return the cache file of a request, named by the request's hash."""
        request = json.dumps([self.service.base_url, kind, fields, salt], sort_keys=True).encode()
        digest = hashlib.sha256(request).hexdigest()
        return self.cache / digest[:2] / f"{digest}.{'json' if kind == 'chat' else 'bin'}"

    def _redact(self, text: str) -> str:
        """Replace the API key in a text."""
        return redact(text, self._key)


def _read_if_exists(path: Path) -> bytes | None:
    """Return a file's content, or None if there is no file."""
    return path.read_bytes() if path.is_file() else None

"""Bodies of requests: images in memory, of limited size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

MAX_IMAGES = 16
"""Images of a request."""

BODY_S = 30.0
"""Longest time that a body takes."""

MAX_NAME_CHARACTERS = 200


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: Status of HTTP.
        words: The reason, for people.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, words: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.headers = headers or {}


@dataclass(frozen=True)
class Body:
    """Images of a request.

    Attributes:
        images: Names and encoded images.
        several: The request was a form, which is answered line by line.
    """

    images: list[tuple[str, bytes]]
    several: bool

    @property
    def size(self) -> int:
        """Bytes of all images."""
        return sum(len(content) for _, content in self.images)


class _InMemory(MultiPartParser):
    """Parser that writes no file, since the body's size is limited."""

    spool_max_size = 0  # SpooledTemporaryFile's word for any size


async def read_body(request: Request, max_bytes: int, seconds: float = BODY_S) -> Body:
    """Read the images of a request: its body, or the files of a form.

    Args:
        request: The request.
        max_bytes: Limit of the body.
        seconds: Limit of the time.

    Raises:
        Refused: If it is too large, too slow, of another type, or has no image or too many.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    if not form and not kind.startswith("image/") and kind != "application/octet-stream":
        words = "send one image as the body (Content-Type: image/png, image/jpeg, ...), or a form"
        raise Refused(415, f"{words} of files (multipart/form-data)")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(seconds):
            if form:
                return Body(await _files(request, max_bytes), several=True)
            content = b"".join([chunk async for chunk in _limited(request, max_bytes)])
    except TimeoutError:
        raise Refused(408, f"the body did not come within {seconds:.0f} seconds") from None
    if not content:
        raise Refused(400, "the body is empty: send an image")
    return Body([(_name(request.query_params.get("name", "image")), content)], several=False)


async def _limited(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body's parts, up to a limit."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


async def _files(request: Request, max_bytes: int) -> list[tuple[str, bytes]]:
    """Read the files of a form."""
    parts = _limited(request, max_bytes)
    parser = _InMemory(request.headers, parts, max_files=MAX_IMAGES, max_fields=MAX_IMAGES)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, f"the form cannot be read: {error.message}") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    images = [(_name(file.filename or "image"), await file.read()) for file in files]
    await form.close()
    if not images:
        raise Refused(400, "the form has no files")
    return images


def _too_large(max_bytes: int) -> Refused:
    return Refused(413, f"the body has more than {max_bytes / 1e6:g} MB")


def _name(given: str) -> str:
    """Name of a file without folders and control characters."""
    name = PurePosixPath(given.replace("\\", "/")).name
    return (
        "".join(letter for letter in name if letter.isprintable())[:MAX_NAME_CHARACTERS] or "image"
    )

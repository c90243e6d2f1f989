"""Downloads of single files, with a size limit, resuming, and atomic completion."""

from __future__ import annotations

import os
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tenacity import Retrying

from checkpoints.redirects import refuse_private_redirect
from engine.addresses import is_loopback
from engine.files import write_text
from engine.progress import bar_class
from engine.records import read_json, to_json
from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after, retry_settings

if TYPE_CHECKING:
    from tqdm import tqdm

MAX_DOWNLOAD_BYTES = 16 * 2**30
"""Largest file whose size is unknown."""

CHUNK_BYTES = 2**20

ATTEMPTS = 5
"""Number of attempts that receive nothing."""

HTTP_TIMEOUT_S = 60


class _Progress(Exception):
    """The connection broke off after some bytes."""


class HTTPSRedirects(HTTPRedirectHandler):
    """Redirect handler that refuses plain HTTP and private networks."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        try:
            check_address(newurl)
            refuse_private_redirect(newurl, req.full_url)
        except ValueError:
            fp.close()  # a redirect that is followed closes it
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def check_address(address: str) -> None:
    """Refuse an address without HTTPS; this machine may use plain HTTP.

    Raises:
        ValueError: If the address is refused.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    is_local_http = parts.scheme == "http" and is_loopback(host)
    if not host or not (parts.scheme == "https" or is_local_http):
        msg = f"{address}: weights are fetched over https:// only"
        raise ValueError(msg)


def download(address: str, target: Path, size: int | None = None) -> Path:
    """Download a file; an interrupted download resumes in this run or a later one.

    Args:
        address: ``https://…``.
        target: The file; it does not exist before the download is complete.
        size: Expected size in bytes; None if unknown.

    Raises:
        FileNotFoundError: If the server has no such file or cannot be reached.
        ValueError: If the file is too large, or of another size.
    """
    check_address(address)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    etag_file = target.with_name(target.name + ".partial.json")

    # receive, with retries
    with bar_class()(total=size, unit="B", unit_scale=True, desc=target.name) as bar:
        max_bytes = size or MAX_DOWNLOAD_BYTES
        announced = _receive_with_retries(address, partial, etag_file, max_bytes, bar)

    # compare the size
    received = partial.stat().st_size
    etag_file.unlink(missing_ok=True)
    expected = size or announced or received
    if expected != received:
        partial.unlink()
        msg = (
            f"{address}: {received} bytes instead of {expected}; the file was removed. "
            "Try again, or tell the maintainers of the list of models"
        )
        raise ValueError(msg)
    os.replace(partial, target)
    return target


def _receive_with_retries(
    address: str, partial: Path, etag_file: Path, max_bytes: int, bar: tqdm[Any]
) -> int | None:
    """Receive the missing bytes; an attempt that receives some does not count.

    Returns:
        Size of the file, if the server states it.

    Raises:
        FileNotFoundError: If the server has no such file or cannot be reached.
        ValueError: If the file is too large.
    """
    opener = build_opener(HTTPSRedirects())

    def receive() -> int | None:
        received = partial_bytes(partial)
        bar.n = received
        try:
            return _receive(opener, address, partial, etag_file, max_bytes, bar)
        except (HTTPException, OSError) as error:
            if isinstance(error, HTTPError):
                error.close()  # it is the server's answer
            # 416: the server has no more bytes, so the partial file is of another version
            if isinstance(error, HTTPError) and error.code == 416:
                partial.unlink(missing_ok=True)
            if partial_bytes(partial) > received:
                raise _Progress from error
            raise

    while True:
        try:
            settings = retry_settings(lambda error: transient_fault(error, address), ATTEMPTS)
            return Retrying(**settings)(receive)
        except _Progress:
            continue
        except HTTPError as error:
            raise FileNotFoundError(explain_refusal(address, error)) from error
        except (HTTPException, OSError) as error:
            received = partial_bytes(partial)
            kept = (
                f"; {received} bytes are kept, and the next try resumes there" if received else ""
            )
            msg = (
                f"{address}: the connection broke off or cannot be made ({error}); "
                f"check the network and try again{kept}"
            )
            raise FileNotFoundError(msg) from error


def _receive(
    opener: Any, address: str, partial: Path, etag_file: Path, max_bytes: int, bar: tqdm[Any]
) -> int | None:
    """Append the missing bytes to the partial file in one request.

    Returns:
        Size of the file, if the server states it.

    Raises:
        HTTPException: If the connection ends early.
        ValueError: If the file is too large.
    """
    # request the rest of the file; the server sends all of a file that has changed
    headers = {"User-Agent": "image-defence", "Accept-Encoding": "identity"}
    received = 0
    etag = _stored_etag(address, partial, etag_file)
    if etag:
        received = partial.stat().st_size
        headers |= {"Range": f"bytes={received}-", "If-Range": etag}
    with opener.open(Request(address, headers=headers), timeout=HTTP_TIMEOUT_S) as answer:
        # the server's answer: all or the rest, and the size
        if received and answer.status != 206:
            received = 0
        rest = answer.headers.get("Content-Length")
        size = received + int(rest) if rest and rest.isdigit() else None
        if (size or 0) > max_bytes:
            msg = f"{address}: {size} bytes, more than the limit of {max_bytes}; not downloaded"
            raise ValueError(msg)

        # remember the version of the file
        etag = answer.headers.get("ETag", "")
        is_strong = etag and not etag.startswith("W/")
        write_text(etag_file, to_json({address: etag} if is_strong else {}))
        bar.total = bar.total or size
        bar.n = received

        # receive
        with partial.open("ab" if received else "wb") as stream:
            while chunk := answer.read(CHUNK_BYTES):
                received += len(chunk)
                if received > max_bytes:
                    stream.close()
                    partial.unlink()
                    msg = f"{address}: longer than the limit of {max_bytes} bytes; it was removed"
                    raise ValueError(msg)
                stream.write(chunk)
                bar.update(len(chunk))
    if size is not None and received < size:
        msg = f"{size - received} of {size} bytes did not come"
        raise HTTPException(msg)
    return size


def _stored_etag(address: str, partial: Path, etag_file: Path) -> str | None:
    """Return the version of a partial file that can be resumed; None without one."""
    if not partial.is_file() or not etag_file.is_file():
        return None
    return read_json(etag_file, dict[str, str], f"delete it and {partial.name}").get(address)


def partial_bytes(partial: Path) -> int:
    """Return the size of a partial file in bytes; 0 if there is none."""
    return partial.stat().st_size if partial.is_file() else 0


def transient_fault(error: BaseException, address: str) -> TransientFault | None:
    """Return the transient fault behind an error; None for a permanent error."""
    if isinstance(error, HTTPError):
        if error.code not in (*TRANSIENT_STATUSES, 416):
            return None
        wait = parse_retry_after(error.headers.get("Retry-After"))
        return TransientFault(f"{address}: the server answers {error.code}", wait)
    if isinstance(error, HTTPException | OSError):
        return TransientFault(f"{address}: the connection broke off or cannot be made ({error})")
    return None


def explain_refusal(address: str, error: HTTPError) -> str:
    """Explain an HTTP error of a server, with advice."""
    if error.code in (401, 403):
        return (
            f"{address}: the server denies access ({error.code}); "
            "download it by hand where it is published"
        )
    if error.code in (404, 410):
        return f"{address}: not there any more ({error.code}); look where it was published"
    if error.code == 429:
        wait = error.headers.get("Retry-After", "a few")
        return f"{address}: too many requests (429); try again in {wait} seconds"
    return f"{address}: the server has a fault or refused it ({error.code}); try again later"

"""Single files from the web: within a size, resumed where they broke off, and never in place before they are whole."""

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

from checkpoints.redirects import refuse_inside
from engine.addresses import is_loopback
from engine.files import write_text
from engine.progress import bar_class
from engine.records import read_json, to_json
from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after, retry_settings

if TYPE_CHECKING:
    from tqdm import tqdm

LARGEST = 16 * 2**30
"""Bytes of a file whose size is not known beforehand."""

PIECE = 2**20

ATTEMPTS = 5
"""Without a byte in between."""

PATIENCE = 60
"""Seconds to wait for an answer."""


class _Progress(Exception):
    """Something came before the connection broke off."""


class OnlyEncrypted(HTTPRedirectHandler):
    """Follows no redirection to where :func:`check_address` would not go, nor into this machine's network."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        check_address(newurl)
        refuse_inside(newurl, req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def check_address(address: str) -> None:
    """Refuse what is not HTTPS, but for this machine itself.

    Raises:
        ValueError: If it is not.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if not host or (parts.scheme != "https" and not (is_loopback(host) and parts.scheme == "http")):
        msg = f"{address}: weights are fetched over https:// only"
        raise ValueError(msg)


def download(address: str, target: Path, size: int | None = None) -> Path:
    """Get a file from the web; one that broke off goes on where it was, in this run or a later one.

    Args:
        address: ``https://…``.
        target: Where it goes; nothing is there before it is whole.
        size: Bytes it must have, if that is known.

    Raises:
        FileNotFoundError: If the server has no such file or cannot be reached, with what to do.
        ValueError: If it is larger than it may be, or not of its size.
    """
    check_address(address)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, note = (
        target.with_name(target.name + ".partial"),
        target.with_name(target.name + ".partial.json"),
    )
    opener = build_opener(OnlyEncrypted())
    with bar_class()(total=size, unit="B", unit_scale=True, desc=target.name) as bar:

        def receive() -> int | None:
            bar.n = have = held(partial)
            try:
                return _receive(opener, address, partial, note, size or LARGEST, bar)
            except (HTTPException, OSError) as error:
                if (
                    isinstance(error, HTTPError) and error.code == 416
                ):  # nothing is left to send: the rest must be of another file
                    partial.unlink(missing_ok=True)
                if held(partial) > have:
                    raise _Progress from error
                raise

        while True:
            try:
                whole = Retrying(**retry_settings(lambda error: passing(error, address), ATTEMPTS))(
                    receive
                )
                break
            except _Progress:  # goes on at once, with as many attempts as before
                continue
            except HTTPError as error:
                raise FileNotFoundError(refused(address, error)) from error
            except (HTTPException, OSError) as error:
                have = held(partial)
                kept = (
                    f"; {have} bytes are kept, and the next try goes on from there" if have else ""
                )
                msg = f"{address}: the connection broke off or cannot be made ({error}); check the network and try again{kept}"
                raise FileNotFoundError(msg) from error
    got = partial.stat().st_size
    note.unlink(missing_ok=True)
    if (size or whole or got) != got:
        partial.unlink()
        msg = f"{address}: {got} bytes instead of {size or whole}; it was removed. Try again, or tell who keeps the list of models"
        raise ValueError(msg)
    os.replace(partial, target)
    return target


def _receive(
    opener: Any, address: str, partial: Path, note: Path, limit: int, bar: tqdm[Any]
) -> int | None:
    """Append what is still missing; the whole size, if the server says it.

    Raises:
        HTTPException: If the server stops before its end.
        ValueError: If it is, or becomes, too large.
    """
    headers, have = {"User-Agent": "image-defence", "Accept-Encoding": "identity"}, 0
    if (
        partial.is_file()
        and note.is_file()
        and (tag := read_json(note, dict[str, str], f"delete it and {partial.name}").get(address))
    ):
        have = partial.stat().st_size
        headers |= {
            "Range": f"bytes={have}-",
            "If-Range": tag,
        }  # the server sends all of a file that has changed
    with opener.open(Request(address, headers=headers), timeout=PATIENCE) as answer:
        if have and answer.status != 206:
            have = 0
        rest = answer.headers.get("Content-Length")
        whole = have + int(rest) if rest and rest.isdigit() else None
        if (whole or 0) > limit:
            msg = f"{address}: {whole} bytes, more than the {limit} it may have; it was not fetched"
            raise ValueError(msg)
        tag = answer.headers.get("ETag", "")
        write_text(note, to_json({address: tag} if tag and not tag.startswith("W/") else {}))
        bar.total, bar.n = bar.total or whole, have
        with partial.open("ab" if have else "wb") as stream:
            while piece := answer.read(PIECE):
                have += len(piece)
                if have > limit:
                    stream.close()
                    partial.unlink()
                    msg = f"{address}: longer than the {limit} bytes it may have; it was removed"
                    raise ValueError(msg)
                stream.write(piece)
                bar.update(len(piece))
    if whole is not None and have < whole:
        msg = f"{whole - have} of {whole} bytes did not come"
        raise HTTPException(msg)
    return whole


def held(partial: Path) -> int:
    """Count the bytes of a file that are here."""
    return partial.stat().st_size if partial.is_file() else 0


def passing(error: BaseException, address: str) -> TransientFault | None:
    """Tell what is passing of an error; None if it lasts."""
    if isinstance(error, HTTPError):
        if error.code not in (*TRANSIENT_STATUSES, 416):
            return None
        return TransientFault(
            f"{address}: the server answers {error.code}",
            parse_retry_after(error.headers.get("Retry-After")),
        )
    if isinstance(error, HTTPException | OSError):
        return TransientFault(f"{address}: the connection broke off or cannot be made ({error})")
    return None


def refused(address: str, error: HTTPError) -> str:
    """A server's refusal in words."""
    if error.code in (401, 403):
        return f"{address}: the server does not give it to everyone ({error.code}); get it by hand where it is published"
    if error.code in (404, 410):
        return f"{address}: not there any more ({error.code}); look where it was published"
    if error.code == 429:
        return f"{address}: too many requests (429); try again in {error.headers.get('Retry-After', 'a few')} seconds"
    return f"{address}: the server has a fault or refused it ({error.code}); try again later"

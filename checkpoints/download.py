"""Single files from the web: within a size, resumed where they broke off, and never in place before they are whole."""

from __future__ import annotations

import ipaddress
import json
import os
import time
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from engine.files import write_text

LARGEST = 16 * 2**30
"""Bytes of a file whose size is not known beforehand."""

PIECE = 2**20

ATTEMPTS = 5
"""Without a byte in between."""

PATIENCE = 60
"""Seconds: how long to wait for an answer, and the longest wait that a server may ask for."""


class OnlyEncrypted(HTTPRedirectHandler):
    """Follows no redirection to where :func:`check_address` would not go."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> Request | None:
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def check_address(address: str) -> None:
    """Refuse what is not HTTPS, but for this machine itself.

    Raises:
        ValueError: If it is not.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if not host or (parts.scheme != "https" and not (here and parts.scheme == "http")):
        msg = f"{address}: weights are fetched over https:// only"
        raise ValueError(msg)


def download(address: str, target: Path, size: int | None = None) -> Path:
    """A file from the web; one that broke off goes on where it was, in this run or a later one.

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
    partial, note = target.with_name(target.name + ".partial"), target.with_name(target.name + ".partial.json")
    attempts, limit = ATTEMPTS, size or LARGEST
    opener = build_opener(OnlyEncrypted())
    with tqdm(total=size, unit="B", unit_scale=True, desc=target.name) as bar:
        while True:
            have = partial.stat().st_size if partial.is_file() else 0
            bar.n = have
            try:
                whole = _receive(opener, address, partial, note, limit, bar)
                break
            except HTTPError as error:
                wait = seconds(error.headers.get("Retry-After"), 2 ** (ATTEMPTS - attempts))
                if error.code == 416:  # nothing is left to send: the rest must be of another file
                    partial.unlink(missing_ok=True)
                elif error.code not in (408, 429, 500, 502, 503, 504) or attempts == 1 or wait > PATIENCE:
                    raise FileNotFoundError(refused(address, error)) from error
            except (URLError, HTTPException, OSError) as error:
                wait = 2 ** (ATTEMPTS - attempts)
                if attempts == 1:
                    kept = f"; {bar.n} bytes are kept, and the next try goes on from there" if bar.n else ""
                    msg = f"{address}: the connection broke off or cannot be made ({error}); check the network and try again{kept}"
                    raise FileNotFoundError(msg) from error
            now = partial.stat().st_size if partial.is_file() else 0
            attempts = ATTEMPTS if now > have else attempts - 1
            time.sleep(min(wait, PATIENCE) if attempts < ATTEMPTS else 0.1)
    got = partial.stat().st_size
    note.unlink(missing_ok=True)
    if (size or whole or got) != got:
        partial.unlink()
        msg = f"{address}: {got} bytes instead of {size or whole}; it was removed. Try again, or tell who keeps the list of models"
        raise ValueError(msg)
    os.replace(partial, target)
    return target


def _receive(opener: Any, address: str, partial: Path, note: Path, limit: int, bar: tqdm[Any]) -> int | None:
    """Append what is still missing; the whole size, if the server says it.

    Raises:
        HTTPException: If the server stops before its end.
        ValueError: If it is, or becomes, too large.
    """
    headers, have = {"User-Agent": "image-defence", "Accept-Encoding": "identity"}, 0
    if partial.is_file() and note.is_file() and (tag := json.loads(note.read_text()).get(address)):
        have = partial.stat().st_size
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}  # the server sends all of a file that has changed
    with opener.open(Request(address, headers=headers), timeout=PATIENCE) as answer:
        if have and answer.status != 206:
            have = 0
        rest = answer.headers.get("Content-Length")
        whole = have + int(rest) if rest and rest.isdigit() else None
        if (whole or 0) > limit:
            msg = f"{address}: {whole} bytes, more than the {limit} it may have; it was not fetched"
            raise ValueError(msg)
        tag = answer.headers.get("ETag", "")
        write_text(note, json.dumps({address: tag} if tag and not tag.startswith("W/") else {}))
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


def seconds(asked: str | None, otherwise: int) -> int:
    """How long to wait, as a server asks; dates are not read."""
    return int(asked) if asked and asked.isdigit() else otherwise


def refused(address: str, error: HTTPError) -> str:
    """A server's refusal in words."""
    if error.code in (401, 403):
        return f"{address}: the server does not give it to everyone ({error.code}); get it by hand where it is published"
    if error.code in (404, 410):
        return f"{address}: not there any more ({error.code}); look where it was published"
    if error.code == 429:
        return f"{address}: too many requests (429); try again in {error.headers.get('Retry-After', 'a few')} seconds"
    return f"{address}: the server has a fault or refused it ({error.code}); try again later"

"""API keys of the service."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from engine.files import read_lines
from eval.web.hosts import LOOPBACK

VARIABLE = "IMAGE_DEFENCE_KEYS"
"""Environment variable of keys, separated by commas, where no file is given."""

MIN_CHARACTERS = 16
"""Shortest key."""


class Keys:
    """Known keys, of which only hashes are kept.

    Args:
        keys: The keys; none lets everybody in.
    """

    def __init__(self, keys: list[str]) -> None:
        self.digests = [_digest(key) for key in keys]

    @classmethod
    def read(cls, file: Path | None, host: str) -> Keys:
        """Read the keys of a file, one a line, or of the environment.

        Args:
            file: The file; None for the variable :data:`VARIABLE`.
            host: Address that the server listens on.

        Raises:
            FileNotFoundError: If the file is missing.
            ValueError: If a key is too short, the file has none, or there are none for an address
                that others can reach.
        """
        if file is not None:
            place, lines = f"{file}, line", read_lines(file)
        else:
            place, lines = f"{VARIABLE}, key", os.environ.get(VARIABLE, "").split(",")
        keys = []
        for number, line in enumerate(lines, start=1):
            key = line.strip()
            if not key or key.startswith("#"):
                continue
            if len(key) < MIN_CHARACTERS or not key.isascii() or " " in key:
                msg = (
                    f"{place} {number}: a key is of at least {MIN_CHARACTERS} letters and digits, "
                    "without spaces; make one with: openssl rand -hex 24"
                )
                raise ValueError(msg)
            keys.append(key)
        if file is not None and not keys:
            msg = f"{file}: no keys; write one a line"
            raise ValueError(msg)
        if not keys and host not in LOOPBACK:
            msg = (
                f"--host {host} lets other machines in, which takes keys: --keys FILE, one a line, "
                f"or the variable {VARIABLE}"
            )
            raise ValueError(msg)
        return cls(keys)

    def holder(self, authorization: str) -> int | None:
        """Number of the key in an ``Authorization`` header; None if it is not known.

        All keys are compared, in a time that does not depend on the header.

        Args:
            authorization: The header, ``Bearer KEY``.
        """
        scheme, _, key = authorization.partition(" ")
        given, found = _digest(key.strip()), None
        for number, known in enumerate(self.digests):
            if hmac.compare_digest(given, known):
                found = number
        return found if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()

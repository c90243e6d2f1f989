"""The lock file: revision and hashes that a model was first seen with on this machine, so that it cannot change unnoticed.

It lies in the Hub client's folder for other programs' files, beside files that are not from the Hub (``HF_HOME``).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock

from engine.files import write_text


def files_folder(name: str) -> Path:
    """Where files from elsewhere than the Hub are kept, for one model."""
    return Path(constants.HF_ASSETS_CACHE) / "image-defence" / "weights" / name


def lock_file() -> Path:
    """Where the pins are."""
    return Path(constants.HF_ASSETS_CACHE) / "image-defence" / "weights.lock.json"


def pinned(name: str) -> dict[str, Any]:
    """What is pinned for a model: ``first_seen``, ``revision`` and ``sha256`` by file; empty if it was never pulled.

    Raises:
        ValueError: If the lock file is damaged.
    """
    return dict(_read().get(name, {}))


def pin(name: str, revision: str | None, hashes: dict[str, str]) -> None:
    """Pin what is seen for the first time, and refuse what differs from what was seen before.

    Raises:
        ValueError: If a hash differs; nothing is pinned.
    """
    file = lock_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(file.with_suffix(".mutex")):
        pins = _read()
        today = datetime.now(UTC).date().isoformat()
        seen = pins.setdefault(name, {"first_seen": today, "revision": revision, "sha256": {}})
        if seen["revision"] != revision:
            seen |= {"first_seen": today, "revision": revision, "sha256": {}}
        if changed := differing(seen["sha256"], hashes):
            msg = (
                f"{name}: {changed} is not the file that was first seen on {seen['first_seen']} (sha256 {seen['sha256'][changed][:12]}…, "
                f"now {hashes[changed][:12]}…). If you know why it was replaced, delete its entry in {file}"
            )
            raise ValueError(msg)
        seen["sha256"] |= hashes
        write_text(file, json.dumps(pins, indent=2, sort_keys=True) + "\n")


def differing(before: dict[str, str], now: dict[str, str]) -> str:
    """The first file whose hash is another one; empty if none."""
    return next((name for name in now if before.get(name, now[name]) != now[name]), "")


def _read() -> dict[str, Any]:
    file = lock_file()
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        msg = f"{file} is damaged ({error}); mend it, or delete it to pin every model anew"
        raise ValueError(msg) from error

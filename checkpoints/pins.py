"""Lock file with the revision and hashes of each model at its first download.

A model that changes later is refused. The lock file is in the Hub client's assets folder (below
``HF_HOME``), beside files that do not come from the Hub.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from huggingface_hub import constants

from engine.files import write_text
from engine.records import read_json, to_json


class Pin(TypedDict):
    """First download of a model: day, revision on the Hub, and sha256 by file name."""

    first_seen: NotRequired[str]
    revision: NotRequired[str | None]
    sha256: NotRequired[dict[str, str]]


def files_folder(name: str) -> Path:
    """Return the folder of a model whose files do not come from the Hub."""
    return Path(constants.HF_ASSETS_CACHE) / "image-defence" / "weights" / name


def lock_file() -> Path:
    """Return the path of the lock file."""
    return Path(constants.HF_ASSETS_CACHE) / "image-defence" / "weights.lock.json"


def pinned(name: str) -> Pin:
    """Read the pin of a model; empty if it was never pulled.

    Raises:
        ValueError: If the lock file is damaged.
    """
    return _read().get(name, Pin())


def pin(name: str, revision: str | None, hashes: dict[str, str]) -> None:
    """Pin new files of a model, and refuse files that differ from their pin.

    Args:
        name: Name of the model.
        revision: Commit on the Hub; None for models from elsewhere. Another revision starts anew.
        hashes: Hexadecimal sha256 by file name.

    Raises:
        ValueError: If a hash differs; nothing is pinned.
    """
    from huggingface_hub.utils import WeakFileLock

    file = lock_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(file.with_suffix(".mutex")):
        # the earlier pin of the same revision
        pins = _read()
        today = datetime.now(UTC).date().isoformat()
        earlier = pins.get(name, Pin())
        pinned_hashes: dict[str, str] = {}
        since = today
        if earlier.get("revision") == revision:
            pinned_hashes = earlier.get("sha256", {})
            since = earlier.get("first_seen", today)

        # compare, and add new files
        if changed := first_difference(pinned_hashes, hashes):
            msg = (
                f"{name}: {changed} is not the file that was first seen on {since} "
                f"(sha256 {pinned_hashes[changed][:12]}…, now {hashes[changed][:12]}…). "
                f"If you know why it was replaced, delete its entry in {file}"
            )
            raise ValueError(msg)
        all_hashes = dict(sorted((pinned_hashes | hashes).items()))
        pins[name] = Pin(first_seen=since, revision=revision, sha256=all_hashes)
        write_text(file, to_json(dict(sorted(pins.items()))))


def first_difference(expected: dict[str, str], hashes: dict[str, str]) -> str:
    """Return the first file whose hash differs from the expected one; empty if none does."""
    for name, digest in hashes.items():
        if expected.get(name, digest) != digest:
            return name
    return ""


def _read() -> dict[str, Pin]:
    """Read the lock file; empty if there is none."""
    file = lock_file()
    if not file.is_file():
        return {}
    return read_json(file, dict[str, Pin], "repair it, or delete it to pin every model anew")

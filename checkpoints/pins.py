"""The lock file: revision and hashes that a model was first seen with on this machine, so that it cannot change unnoticed.

It lies in the Hub client's folder for other programs' files, beside files that are not from the Hub (``HF_HOME``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from huggingface_hub import constants

from engine.files import write_text
from engine.records import read_json, to_json


class Pin(TypedDict):
    """What a model was first seen as: day, revision on the Hub, and sha256 by file."""

    first_seen: NotRequired[str]
    revision: NotRequired[str | None]
    sha256: NotRequired[dict[str, str]]


def files_folder(name: str) -> Path:
    """Where files from elsewhere than the Hub are kept, for one model."""
    return Path(constants.HF_ASSETS_CACHE) / "image-defence" / "weights" / name


def lock_file() -> Path:
    """Where the pins are."""
    return Path(constants.HF_ASSETS_CACHE) / "image-defence" / "weights.lock.json"


def pinned(name: str) -> Pin:
    """Read what is pinned for a model; empty if it was never pulled.

    Raises:
        ValueError: If the lock file is damaged.
    """
    return _read().get(name, Pin())


def pin(name: str, revision: str | None, hashes: dict[str, str]) -> None:
    """Pin what is seen for the first time, and refuse what differs from what was seen before.

    Raises:
        ValueError: If a hash differs; nothing is pinned.
    """
    from huggingface_hub.utils import WeakFileLock

    file = lock_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(file.with_suffix(".mutex")):
        pins = _read()
        today = datetime.now(UTC).date().isoformat()
        seen = pins.get(name, Pin())
        before, since = seen.get("sha256", {}), seen.get("first_seen", today)
        if seen.get("revision") != revision:
            before, since = {}, today
        if changed := differing(before, hashes):
            msg = (
                f"{name}: {changed} is not the file that was first seen on {since} (sha256 {before[changed][:12]}…, "
                f"now {hashes[changed][:12]}…). If you know why it was replaced, delete its entry in {file}"
            )
            raise ValueError(msg)
        pins[name] = Pin(
            first_seen=since, revision=revision, sha256=dict(sorted((before | hashes).items()))
        )
        write_text(file, to_json(dict(sorted(pins.items()))))


def differing(before: dict[str, str], now: dict[str, str]) -> str:
    """Find the first file whose hash is another one; empty if none."""
    return next((name for name in now if before.get(name, now[name]) != now[name]), "")


def _read() -> dict[str, Pin]:
    file = lock_file()
    return (
        read_json(file, dict[str, Pin], "mend it, or delete it to pin every model anew")
        if file.is_file()
        else {}
    )

"""The record a run leaves beside its outputs: settings, weights, versions and counts."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine import __version__
from engine.files import LOCK, file_digest, is_partial, write_text
from engine.records import read_json, to_json

MANIFEST = "manifest.json"

LIBRARIES = (
    "torch",
    "torchvision",
    "lightning",
    "diffusers",
    "transformers",
    "peft",
    "torchmetrics",
    "timm",
    "faiss-cpu",
    "numpy",
    "pillow",
)


def write_manifest(folder: Path, **record: Any) -> Path:
    """Write ``manifest.json`` into a run's output folder, whole or not at all.

    Args:
        folder: Where the outputs are.
        record: What to record beside time, platform and versions: settings, weights, seed, counts.
    """
    about = {
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }
    target = folder / MANIFEST
    write_text(target, to_json(about | record))
    return target


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The record in a folder; None if there is none.

    Raises:
        ValueError: If it is damaged.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return None
    return read_json(file, dict[str, Any], "choose another output folder, or delete this one")


def claim(folder: Path, command: str, settings: dict[str, Any]) -> bool:
    """Mark an output folder as that of a job with these settings; a stopped or finished one goes on in it.

    Args:
        folder: The folder; made if it is not there.
        command: The job's command, such as ``rid protect``.
        settings: What its results depend on, but for the inputs.

    Returns:
        Whether the job has been at work in it before.

    Raises:
        ValueError: If the folder holds a job of another command or other settings, or files that are no earlier run's.
    """
    earlier = read_manifest(folder)
    if earlier is None:
        check_unused(folder)
        folder.mkdir(parents=True, exist_ok=True)
    else:
        check_same(folder, earlier, command, settings)
    write_manifest(folder, command=command, finished=False, settings=settings)
    return earlier is not None


def check_unused(folder: Path) -> None:
    """Refuse a folder that holds files of somebody's.

    Raises:
        ValueError: If it does, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: a file, where a folder for the results is wanted; choose another name"
        raise ValueError(msg)
    if folder.is_dir() and any(
        path.name != LOCK and not is_partial(path) for path in folder.iterdir()
    ):
        msg = f"the output folder {folder} holds files that are not an earlier run's: choose an empty or a new one"
        raise ValueError(msg)


def check_same(
    folder: Path, earlier: dict[str, Any], command: str, settings: dict[str, Any]
) -> None:
    """Refuse a folder with the results of another job.

    Raises:
        ValueError: If it was another command, or had other settings; the message names the first that differs.
    """
    if earlier.get("command") not in (None, command):
        msg = f"{folder} holds the results of {earlier['command']}: choose another output folder"
        raise ValueError(msg)
    before, now = earlier.get("settings"), json.loads(to_json(settings))
    if not isinstance(before, dict):
        msg = f"{folder / MANIFEST}: does not say with which settings it was made; choose another output folder"
        raise ValueError(msg)
    if differing := [name for name, value in now.items() if before.get(name) != value]:
        msg = (
            f"{folder} holds results of other settings or weights ({differing[0]} differs): "
            "choose another output folder, or repeat that run's settings to go on with it"
        )
        raise ValueError(msg)


def fingerprint(name: str, place: Path) -> dict[str, Any]:
    """Tell which weights a model's folder, or its one file, holds: its name, and the sha256 of each weight file."""
    if place.is_file():
        return {"name": name, "sha256": {place.name: file_digest(place)}}
    files = sorted(path for kind in ("*.safetensors", "*.pth") for path in place.rglob(kind))
    return {
        "name": name,
        "sha256": {str(path.relative_to(place)): file_digest(path) for path in files},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

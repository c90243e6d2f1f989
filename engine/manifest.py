"""Manifest of a run: settings, weights, versions and counts, saved beside its outputs."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine import __version__
from engine.files import LOCK, file_digest, is_partial, refuse_file, write_text
from engine.records import read_json, to_json
from engine.renaming import Renamed, present_settings

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
    """Write ``manifest.json`` into a run's output folder, atomically.

    Args:
        folder: The output folder.
        record: Settings, weights, seed and counts; time, platform and versions are added.
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
    """Read the manifest of a folder; None if there is none.

    Raises:
        ValueError: If the manifest is damaged.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return None
    return read_json(file, dict[str, Any], "choose another output folder, or delete this one")


def claim(
    folder: Path,
    command: str,
    settings: dict[str, Any],
    renamed: Renamed | None = None,
    implied: Mapping[str, Any] | None = None,
) -> bool:
    """Claim an output folder for a job with these settings, or resume a job in it.

    Args:
        folder: The folder; created if it does not exist.
        command: The job's command, such as ``rid protect``.
        settings: All settings that the results depend on, except the inputs.
        renamed: Present names of settings by those of earlier versions.
        implied: Values of settings that earlier versions did not have.

    Returns:
        True if an earlier run of the job used the folder.

    Raises:
        ValueError: If the folder belongs to a job of another command or with other settings,
            or holds files that no run wrote.
    """
    resumed = check_claim(folder, command, settings, renamed, implied)
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, command=command, finished=False, settings=settings)
    return resumed


def check_claim(
    folder: Path,
    command: str,
    settings: dict[str, Any],
    renamed: Renamed | None = None,
    implied: Mapping[str, Any] | None = None,
) -> bool:
    """Refuse a folder that :func:`claim` refuses, and write nothing.

    For a command that has all its results at its end, and leaves nothing if it fails before.
    Arguments, result and errors are those of :func:`claim`.
    """
    earlier = read_manifest(folder)
    if earlier is None:
        check_unused(folder)
    else:
        check_same(folder, earlier, command, settings, renamed, implied)
    return earlier is not None


def check_unused(folder: Path) -> None:
    """Refuse an output folder with files that no run wrote.

    Raises:
        ValueError: If the folder holds such files, or is a file.
    """
    refuse_file(folder)
    if not folder.exists():
        return
    for path in folder.iterdir():
        if path.name != LOCK and not is_partial(path):
            msg = (
                f"the output folder {folder} holds files that are not an earlier run's: "
                "choose an empty or a new one"
            )
            raise ValueError(msg)


def check_same(
    folder: Path,
    earlier: dict[str, Any],
    command: str,
    settings: dict[str, Any],
    renamed: Renamed | None = None,
    implied: Mapping[str, Any] | None = None,
) -> None:
    """Refuse a folder with the results of another job.

    Args:
        folder: The folder.
        earlier: Its manifest.
        command: Command of the present job.
        settings: Settings of the present job.
        renamed: Present names of settings by those of earlier versions.
        implied: Values of settings that earlier versions did not have.

    Raises:
        ValueError: If the command or a setting differs; the message names the first that does.
    """
    if earlier.get("command") not in (None, command):
        msg = f"{folder} holds the results of {earlier['command']}: choose another output folder"
        raise ValueError(msg)
    earlier_settings = earlier.get("settings")
    if not isinstance(earlier_settings, dict):
        msg = f"{folder / MANIFEST}: has no settings of its run; choose another output folder"
        raise ValueError(msg)
    earlier_settings = {**(implied or {}), **present_settings(earlier_settings, renamed or {})}
    for name, value in json.loads(to_json(settings)).items():
        if earlier_settings.get(name) != value:
            msg = (
                f"{folder} holds results of other settings or weights ({name} differs): "
                "choose another output folder, or repeat that run's settings to go on with it"
            )
            raise ValueError(msg)


def fingerprint(name: str, source: Path) -> dict[str, Any]:
    """Return a model's name and the sha256 of each weight file.

    Args:
        name: Name of the model.
        source: Its folder, or its single file.
    """
    if source.is_file():
        return {"name": name, "sha256": {source.name: file_digest(source)}}
    files = sorted([*source.rglob("*.safetensors"), *source.rglob("*.pth")])
    digests = {str(path.relative_to(source)): file_digest(path) for path in files}
    return {"name": name, "sha256": digests}


def describe(thing: Any) -> dict[str, Any]:
    """Describe an object's class and plain settings, for the record."""
    values = {
        key: value for key, value in vars(thing).items() if isinstance(value, str | int | float)
    }
    return {"class": f"{type(thing).__module__}.{type(thing).__qualname__}"} | values


def _version(name: str) -> str | None:
    """Return the version of an installed library; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None

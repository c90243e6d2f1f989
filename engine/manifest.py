"""The record a run leaves beside its outputs: what was asked, with which weights and libraries, and what came of it."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine import __version__
from engine.files import file_digest, write_text

LIBRARIES = ("torch", "torchvision", "lightning", "diffusers", "transformers", "peft", "torchmetrics", "numpy", "pillow")


def write_manifest(folder: Path, **record: Any) -> Path:
    """Write ``manifest.json`` into a run's output folder, whole or not at all.

    Args:
        folder: Where the outputs are.
        record: What to record beside time, platform and versions: config, weights, seed, counts, budget.
    """
    about = {
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    target = folder / "manifest.json"
    write_text(target, json.dumps(about | record, indent=2, default=str) + "\n")
    return target


def claim(folder: Path, command: str, settings: dict[str, Any]) -> None:
    """Mark an output folder as that of a job with these settings, by an unfinished manifest; a stopped one may go on in it.

    Raises:
        ValueError: If it holds a job with other settings.
    """
    manifest = folder / "manifest.json"
    if manifest.is_file() and json.loads(manifest.read_text()).get("settings") != json.loads(json.dumps(settings, default=str)):
        msg = f"{folder} holds the results of other settings or weights; choose another output folder or delete it"
        raise ValueError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, command=command, finished=False, settings=settings)


def fingerprint(name: str, folder: Path) -> dict[str, Any]:
    """Which weights a model folder holds: its name, and the sha256 of each weight file."""
    files = sorted(path for kind in ("*.safetensors", "*.pth") for path in folder.rglob(kind))
    return {"name": name, "sha256": {str(path.relative_to(folder)): file_digest(path) for path in files}}

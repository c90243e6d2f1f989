"""Model cards, made of what a run left beside its weights: nothing is said that no file says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import file_digest

PROJECT = "image-defence"

MARK = "<!-- from here on written by python -m checkpoints push -->"

OURS = ("config.json", "model.safetensors", "calibration.json", "training.json", "manifest.json", "summary.json")
"""Files of a model folder that the card speaks of."""

DETAILS = ("command", "seed", "steps", "budget_levels", "settings", "surrogates", "source", "data", "batch_size", "minutes", "threads")
"""Entries of the run's records that make up its recipe."""


@dataclass(frozen=True)
class Purpose:
    """What a class of models is for, in words.

    Attributes:
        title: What it is.
        use: What it may be used for.
        limits: What it cannot do, or must not be taken for.
    """

    title: str
    use: str
    limits: str


def model_card(folder: Path, purpose: Purpose, name: str = "FOLDER", licence: str = "apache-2.0") -> str:
    """The text of ``README.md`` for a model folder.

    Args:
        folder: Its ``config.json``, ``manifest.json``, ``training.json``, ``calibration.json`` and ``summary.json`` are drawn upon, as
            far as they are there; what its present card says stays, under the new head.
        purpose: What its class is for.
        name: What to open it by.
        licence: As the Hub abbreviates it.
    """
    config, records = record(folder, "config.json"), record(folder, "training.json") | record(folder, "manifest.json")
    kind = str(config.get("model", "model"))
    written = own_words(folder / "README.md")
    parts = [f"---\nlicense: {licence}\nlibrary_name: pytorch\ntags:\n- {PROJECT}\n- {kind}\n---"]
    parts += [written or f"# {purpose.title}", MARK]
    if "## Intended use" not in written:
        parts.append(f"## Intended use\n\n{purpose.use}")
    if "## Limits" not in written:
        parts.append(f"## Limits\n\n{purpose.limits}")
    if "## Training" not in written:
        recipe = {key: records[key] for key in DETAILS if key in records}
        parts.append("## Training\n\n" + (table(recipe) or "No record of its training is beside the weights."))
    if figures := measured(folder):
        parts.append("## Measured\n\n" + table(figures))
    elif "## Measured" not in written:
        parts.append("## Measured\n\nNothing was measured.")
    if calibration := record(folder, "calibration.json"):
        fitted = calibration.get("pictures", 0)
        parts.append("## Calibration\n\n" + (table(calibration) if fitted else "None was fitted: its probabilities mean no shares."))
    settings = {key: value for key, value in config.items() if key not in ("model", "format")}
    files = {name: f"sha256 `{file_digest(folder / name)}`" for name in OURS if name.endswith(".safetensors") and (folder / name).is_file()}
    parts.append(f"## Files\n\n`{kind}`, format {config.get('format', 0)}.\n\n" + table(settings | files))
    parts.append(f"## Opening it\n\n```python\n{kind}.from_pretrained({name!r})\n```\n\n`python -m checkpoints verify {name}` checks it.")
    return "\n\n".join(parts) + "\n"


def record(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a folder; empty if it is not there.

    Raises:
        ValueError: If it is damaged.
    """
    file = folder / name
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"{file}: not valid JSON ({error}); write it again or delete it"
        raise ValueError(msg) from error
    return content if isinstance(content, dict) else {}


def own_words(card: Path) -> str:
    """What a person or a recipe wrote into a card: all before the mark, without the head; empty if there is none."""
    if not card.is_file():
        return ""
    return re.sub(r"\A---\n.*?\n---\n", "", card.read_text().partition(MARK)[0], flags=re.DOTALL).strip()


def measured(folder: Path) -> dict[str, Any]:
    """The figures of a test's ``summary.json``, but for those whose thresholds were chosen on the test."""
    figures: dict[str, Any] = {}
    for key, value in record(folder, "summary.json").items():
        kept = {name: inner for name, inner in value.items() if isinstance(inner, int | float)} if isinstance(value, dict) else value
        if key not in ("oracle", "calibration") and kept and isinstance(kept, dict | int | float):
            figures[key] = kept
    return figures


def table(values: dict[str, Any]) -> str:
    """Two columns of Markdown; empty without values."""
    if not values:
        return ""
    return "\n".join(["| | |", "|---|---|", *(f"| {key.replace('_', ' ')} | {cell(value)} |" for key, value in values.items())])


def cell(value: Any) -> str:
    """A value on one line that ends no cell; the folders of paths are left out."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(inner) for inner in value)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(bare(text).replace("|", "/").split())


def bare(text: str) -> str:
    """Text without the folders of absolute paths and of those in a home, which say whose machine it was."""
    return re.sub(r"(?<![\w:/.])(?:~|/|[A-Za-z]:[\\/])(?:[^\s/\\,;'\"]+[/\\])+", "", text)

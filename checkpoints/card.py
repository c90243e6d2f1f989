"""Model cards, made of what a run left beside its weights: nothing is said that no file says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import file_digest
from engine.records import read_json

PROJECT = "image-defence"

MARK = "<!-- from here on written by python -m checkpoints push -->"

OURS = (
    "config.json",
    "model.safetensors",
    "calibration.json",
    "training.json",
    "manifest.json",
    "summary.json",
)
"""Files of a model folder that the card speaks of."""

DETAILS = (
    "command",
    "seed",
    "steps",
    "budget_levels",
    "settings",
    "surrogates",
    "source",
    "data",
    "batch_size",
    "minutes",
    "threads",
)
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


def model_card(
    folder: Path,
    purpose: Purpose,
    name: str = "FOLDER",
    licence: str = "apache-2.0",
    tags: Sequence[str] = (),
) -> str:
    """Write the text of ``README.md`` for a model folder.

    Args:
        folder: Its ``config.json``, ``manifest.json``, ``training.json``, ``calibration.json`` and ``summary.json`` are drawn upon, as
            far as they are there; what its present card says stays, under the new head.
        purpose: What its class is for.
        name: What to open it by.
        licence: As the Hub abbreviates it.
        tags: What the Hub is to file it under, beside the project and its class.
    """
    config, records = (
        record(folder, "config.json"),
        record(folder, "training.json") | record(folder, "manifest.json"),
    )
    kind = str(config.get("model", "model"))
    written = own_words(folder / "README.md")
    sections: dict[str, str] = {}
    if "## Intended use" not in written:
        sections["Intended use"] = purpose.use
    if "## Limits" not in written:
        sections["Limits"] = purpose.limits
    if "## Training" not in written:
        recipe = {key: records[key] for key in DETAILS if key in records}
        sections["Training"] = table(recipe) or "No record of its training is beside the weights."
    if figures := measured(folder):
        sections["Measured"] = table(figures)
    elif "## Measured" not in written:
        sections["Measured"] = "Nothing was measured."
    if calibration := record(folder, "calibration.json"):
        fitted = calibration.get("pictures", 0)
        sections["Calibration"] = (
            table(calibration) if fitted else "None was fitted: its probabilities mean no shares."
        )
    settings = {key: value for key, value in config.items() if key not in ("model", "format")}
    files = {
        name: f"sha256 `{file_digest(folder / name)}`"
        for name in OURS
        if name.endswith(".safetensors") and (folder / name).is_file()
    }
    sections["Files"] = f"`{kind}`, format {config.get('format', 0)}.\n\n" + table(settings | files)
    opening = f"```python\n{kind}.from_pretrained({name!r})\n```"
    sections["Opening it"] = f"{opening}\n\n`python -m checkpoints verify {name}` checks it."
    return card_head(licence, [PROJECT, kind, *tags]) + card_body(
        f"{written or f'# {purpose.title}'}\n\n{MARK}", sections
    )


def card_head(licence: str, tags: Sequence[str]) -> str:
    """Write what the Hub reads of a card: licence, library and tags."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(license=licence, library_name="pytorch", tags=list(dict.fromkeys(tags)))
    return f"---\n{data.to_yaml()}\n---\n\n"


def card_body(beginning: str, sections: Mapping[str, str]) -> str:
    """Write a card's text: its beginning, with the title, and sections under their headings."""
    return (
        "\n\n".join([beginning, *(f"## {heading}\n\n{text}" for heading, text in sections.items())])
        + "\n"
    )


def record(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON file of a folder; empty if it is not there.

    Raises:
        ValueError: If it is damaged.
    """
    file = folder / name
    return read_json(file, dict[str, Any], "write it again or delete it") if file.is_file() else {}


def own_words(card: Path) -> str:
    """Read what a person or a recipe wrote into a card: all before the mark, without the head; empty if there is none."""
    if not card.is_file():
        return ""
    from huggingface_hub import ModelCard

    content = card.read_text(encoding="utf-8", errors="replace").partition(MARK)[0]
    return ModelCard(content, ignore_metadata_errors=True).text.strip()


def measured(folder: Path) -> dict[str, Any]:
    """Pick the figures of a test's ``summary.json``, but for those whose thresholds were chosen on the test."""
    figures: dict[str, Any] = {}
    for key, value in record(folder, "summary.json").items():
        kept = (
            {name: inner for name, inner in value.items() if isinstance(inner, int | float)}
            if isinstance(value, dict)
            else value
        )
        if key not in ("oracle", "calibration") and kept and isinstance(kept, dict | int | float):
            figures[key] = kept
    return figures


def table(values: Mapping[str, Any], number: str = ".4g") -> str:
    """Write two columns of Markdown; empty without values.

    Args:
        values: By name.
        number: Format of numbers that are not whole.
    """
    if not values:
        return ""
    rows = [f"| {key.replace('_', ' ')} | {cell(value, number)} |" for key, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def cell(value: Any, number: str = ".4g") -> str:
    """Write a value on one line that ends no cell; the folders of paths are left out."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(inner, number)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(inner, number) for inner in value)
    text = f"{value:{number}}" if isinstance(value, float) else str(value)
    return " ".join(bare(text).replace("|", "/").split())


def bare(text: str) -> str:
    """Leave out of a text the folders of absolute paths and of those in a home, which say whose machine it was."""
    return re.sub(r"(?<![\w:/.])(?:~|/|[A-Za-z]:[\\/])(?:[^\s/\\,;'\"]+[/\\])+", "", text)

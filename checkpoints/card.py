"""Model cards, written from the records that a run leaves beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import file_digest
from engine.records import read_json, strip_folders

PROJECT = "image-defence"

GENERATED_MARK = "<!-- from here on written by python -m checkpoints push -->"

MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "calibration.json",
    "domain.safetensors",
    "training.json",
    "manifest.json",
    "summary.json",
)
"""Files of a model folder that the card can list."""

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
"""Entries of the run's records that belong to the training recipe."""


@dataclass(frozen=True)
class Purpose:
    """Purpose of a class of models, as text of the card.

    Attributes:
        title: Title of the card.
        use: Intended use.
        limits: Limits of the models.
    """

    title: str
    use: str
    limits: str


def model_card(
    folder: Path,
    purpose: Purpose,
    name: str = "FOLDER",
    license_id: str = "apache-2.0",
    tags: Sequence[str] = (),
) -> str:
    """Format the card (``README.md``) of a model folder.

    Args:
        folder: The folder. The card uses its ``config.json``, ``manifest.json``,
            ``training.json``, ``calibration.json`` and ``summary.json``, if they exist. The
            handwritten text of its present card stays.
        purpose: Purpose of the model's class.
        name: Name that the card uses for loading the model.
        license_id: License, as the Hub abbreviates it.
        tags: Tags on the Hub beside the project and the class.
    """
    config = record(folder, "config.json")
    records = record(folder, "training.json") | record(folder, "manifest.json")
    kind = str(config.get("model", "model"))

    # sections that the handwritten text lacks
    written = handwritten_text(folder / "README.md")
    sections: dict[str, str] = {}
    if "## Intended use" not in written:
        sections["Intended use"] = purpose.use
    if "## Limits" not in written:
        sections["Limits"] = purpose.limits
    if "## Training" not in written:
        recipe = {key: records[key] for key in DETAILS if key in records}
        sections["Training"] = table(recipe) or "No record of its training is beside the weights."

    # figures and calibration
    if figures := measured_figures(folder):
        sections["Measured"] = table(figures)
    elif "## Measured" not in written:
        sections["Measured"] = "Nothing was measured."
    if calibration := record(folder, "calibration.json"):
        fitted = calibration.get("images", calibration.get("pictures", 0))
        none = "Not calibrated: its probabilities are raw scores."
        sections["Calibration"] = table(calibration) if fitted else none

    # settings, hashes of the weights, and usage
    settings = {key: value for key, value in config.items() if key not in ("model", "format")}
    files = {}
    for file in MODEL_FILES:
        if file.endswith(".safetensors") and (folder / file).is_file():
            files[file] = f"sha256 `{file_digest(folder / file)}`"
    sections["Files"] = f"`{kind}`, format {config.get('format', 0)}.\n\n" + table(settings | files)
    opening = f"```python\n{kind}.from_pretrained({name!r})\n```"
    sections["Opening it"] = f"{opening}\n\n`python -m checkpoints verify {name}` checks it."
    beginning = f"{written or f'# {purpose.title}'}\n\n{GENERATED_MARK}"
    return card_head(license_id, [PROJECT, kind, *tags]) + card_body(beginning, sections)


def card_head(license_id: str, tags: Sequence[str]) -> str:
    """Format the metadata of a card for the Hub: license, library and tags."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(license=license_id, library_name="pytorch", tags=list(dict.fromkeys(tags)))
    return f"---\n{data.to_yaml()}\n---\n\n"


def card_body(beginning: str, sections: Mapping[str, str]) -> str:
    """Format the text of a card: a beginning with the title, then sections with headings."""
    parts = [beginning]
    parts += [f"## {heading}\n\n{text}" for heading, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def record(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON file of a folder; empty if there is none.

    Raises:
        ValueError: If the file is damaged.
    """
    file = folder / name
    return read_json(file, dict[str, Any], "write it again or delete it") if file.is_file() else {}


def handwritten_text(card: Path) -> str:
    """Read the part of a card before the mark, without metadata; empty without a card."""
    if not card.is_file():
        return ""
    from huggingface_hub import ModelCard

    content = card.read_text(encoding="utf-8", errors="replace").partition(GENERATED_MARK)[0]
    return ModelCard(content, ignore_metadata_errors=True).text.strip()


def made_for(folder: Path) -> str:
    """Say what the weights in a folder were made for: the first paragraph of the card.

    Without a handwritten one, what they were trained on; empty if that is not recorded either.
    """
    for paragraph in handwritten_text(folder / "README.md").split("\n\n"):
        text = " ".join(paragraph.split())
        if text and text[0] not in "#|!<`-":
            return text
    data = record(folder, "training.json").get("data") or ""
    return f"Trained on {strip_folders(str(data))}." if data else ""


def measured_figures(folder: Path) -> dict[str, Any]:
    """Return the figures of ``summary.json``, except those with thresholds fitted on the test."""
    figures: dict[str, Any] = {}
    for key, value in record(folder, "summary.json").items():
        if key in ("oracle", "calibration"):
            continue
        figure = _numbers(value) if isinstance(value, dict) else value
        if figure and isinstance(figure, dict | int | float):
            figures[key] = figure
    return figures


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Select the entries that are numbers."""
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def table(values: Mapping[str, Any], number: str = ".4g") -> str:
    """Format a Markdown table of two columns; empty without values.

    Args:
        values: Values by name.
        number: Format of floating-point numbers.
    """
    if not values:
        return ""
    rows = [f"| {key.replace('_', ' ')} | {cell(value, number)} |" for key, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def cell(value: Any, number: str = ".4g") -> str:
    """Format a value as one table cell, without the folders of paths."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(inner, number)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(inner, number) for inner in value)
    text = f"{value:{number}}" if isinstance(value, float) else str(value)
    return " ".join(strip_folders(text).replace("|", "/").split())

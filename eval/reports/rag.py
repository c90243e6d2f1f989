"""The page of a retrieval attack: the decision, and each key's source, sentinel and what the system gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.files import write_text
from eval.reports.personalization import render, strip
from images.io import open_photo
from sentinels.record import Record
from sentinels.trials import Trials, triggered

SIDE = 128


def write_rag_report(output: Path, record: Path, decision: dict[str, Any], answers: dict[str, Path], rows: int = 12) -> Path:
    """Write ``report.html`` into a folder.

    Args:
        output: The folder.
        record: The record of the sentinels.
        decision: What :func:`sentinels.decide.decide` found.
        answers: Folders of answers, by the arm's name.
        rows: Keys that are shown.
    """
    planted, arms = Record.open(record), {arm: Trials.open(folder) for arm, folder in answers.items()}
    shown = []
    for name, sentinel in list(planted.sentinels.items())[:rows]:
        source, path = planted.locate(sentinel.original), planted.locate(sentinel.generated)
        row: dict[str, Any] = {"name": name, "key": sentinel.key, "pictures": {"source": _picture(source), "sentinel": _picture(path)}}
        for arm, trials in arms.items():
            outputs = list(trials.outputs(name)) if name in trials.entries else []
            row["pictures"][arm] = _picture(outputs[0][1]) if outputs else None
            row[arm] = "asked its database" if outputs and triggered(outputs[0][0]) else "did not look" if outputs else "not asked"
        shown.append(row)
    file = output / "manifest.json"
    provenance = file.read_text() if file.is_file() else json.dumps(decision, indent=2)
    page = render("rag.html", decision=decision, rows=shown, arms=list(arms), total=len(planted.sentinels), provenance=provenance)
    write_text(output / "report.html", page)
    return output / "report.html"


def _picture(path: Path | None) -> str | None:
    if path is None:
        return None
    levels: NDArray[np.uint8] = open_photo(path).rgb
    image = Image.fromarray(levels)
    image.thumbnail((SIDE, SIDE))
    return strip([np.asarray(image)])

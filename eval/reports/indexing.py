"""What a page shows of active indexing: figures of a copy-detection study, and a few of its pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.csv_journal import read_journal
from images.io import open_photo
from images.metrics import amplified

Pictures = Sequence[NDArray[np.uint8]]


def indexing_section(folder: Path, strip: Callable[[Pictures], str], shown: int = 4) -> dict[str, Any] | None:
    """Figures and pictures, or None if the folder holds no finished study.

    Args:
        folder: With ``retrieval/`` as ``python -m eval retrieval`` writes it for the arms unchanged and activated, ``active/`` of
            ``python -m indexing activate``, and ``pictures/originals/``.
        strip: Makes pictures side by side a URL.
        shown: Pictures shown, the first ones.
    """
    file = folder / "retrieval" / "summary.json"
    if not file.is_file():
        return None
    summary = json.loads(file.read_text())
    change = summary["differences"]["activated - unchanged"]
    edits = [
        {"name": f"{one['attack'].replace('_', ' ')} {one['attack_param']}".strip()}
        | {
            "unchanged": one["recall_at_1"],
            "activated": other["recall_at_1"],
            "gain": gain["recall_at_1"],
            "interval": gain.get("interval"),
        }
        for one, other, gain in zip(*(summary["arms"][arm]["edits"] for arm in ("unchanged", "activated")), change["edits"], strict=True)
    ]
    means = {arm: summary["arms"][arm]["mean"] for arm in ("unchanged", "activated")}
    released = read_journal(folder / "active" / "activated.csv")
    found = {arm: _found(folder / "retrieval" / arm / "retr_df.csv", len(edits)) for arm in means}
    return {
        "pictures": summary["pictures"],
        "edits": edits,
        "means": means,
        "gain": change["mean"],
        "psnr": float(np.mean([float(row["psnr"]) for row in released])),
        "least": min(float(row["psnr"]) for row in released),
        "levels": max(int(row["levels"]) for row in released),
        "rows": [_shown(folder, row, strip) | {arm: found[arm][place] for arm in found} for place, row in enumerate(released[:shown])],
    }


def _shown(folder: Path, row: dict[str, str], strip: Callable[[Pictures], str]) -> dict[str, Any]:
    before, after = (
        open_photo(place).rgb for place in (folder / "pictures" / "originals" / row["source"], folder / "active" / row["output"])
    )
    names = {"original": before, "released": after, "difference": amplified(before, after)}
    return {"name": row["source"], "psnr": float(row["psnr"])} | {name: strip([picture]) for name, picture in names.items()}


def _found(file: Path, edits: int) -> list[int]:
    """After how many edits each picture's original is the nearest entry."""
    hits = [int(row["r@1"]) for row in read_journal(file)]
    return [sum(hits[start : start + edits]) for start in range(0, len(hits), edits)]

"""What a page shows of active indexing: figures of a copy-detection study, and a few of its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.pages.data_urls import strip_url
from engine.pages.shell import MISSING
from engine.records import read_json
from engine.tables import read_table
from images.io import open_photo
from images.metrics import amplify_change


def indexing_section(folder: Path, shown: int = 4) -> dict[str, Any] | None:
    """Figures and pictures, or None if the folder holds no finished study.

    Args:
        folder: With ``retrieval/`` as ``python -m eval retrieval`` writes it for the arms unchanged and activated, ``active/`` of
            ``python -m indexing activate``, and ``pictures/originals/``.
        shown: Pictures shown, the first ones.
    """
    file = folder / "retrieval" / "summary.json"
    if not file.is_file():
        return None
    summary = read_json(file, dict[str, Any])
    change = summary["differences"]["activated - unchanged"]
    edits = [
        [
            f"{one['attack'].replace('_', ' ')} {one['attack_param']}".strip(),
            f"{one['recall_at_1']:.2f}",
            f"{other['recall_at_1']:.2f}",
            f"{gain['recall_at_1']:+.2f}",
            "{:+.2f} to {:+.2f}".format(*gain["interval"]) if gain.get("interval") else MISSING,
        ]
        for one, other, gain in zip(
            *(summary["arms"][arm]["edits"] for arm in ("unchanged", "activated")),
            change["edits"],
            strict=True,
        )
    ]
    means = {arm: summary["arms"][arm]["mean"] for arm in ("unchanged", "activated")}
    released = read_table(folder / "active" / "activated.csv")
    found = {arm: _found(folder / "retrieval" / arm / "retr_df.csv", len(edits)) for arm in means}
    return {
        "pictures": summary["pictures"],
        "edits": edits,
        "means": means,
        "gain": change["mean"],
        "psnr": float(np.mean([float(row["psnr"]) for row in released])),
        "least": min(float(row["psnr"]) for row in released),
        "levels": max(int(row["levels"]) for row in released),
        "rows": [
            _shown(folder, row) | {arm: found[arm][place] for arm in found}
            for place, row in enumerate(released[:shown])
        ],
    }


def _shown(folder: Path, row: dict[str, str]) -> dict[str, Any]:
    before, after = (
        open_photo(place).rgb
        for place in (
            folder / "pictures" / "originals" / row["source"],
            folder / "active" / row["output"],
        )
    )
    names = {"original": before, "released": after, "difference": amplify_change(before, after)}
    return {"name": row["source"], "psnr": float(row["psnr"])} | {
        name: strip_url([image]) for name, image in names.items()
    }


def _found(file: Path, edits: int) -> list[int]:
    """After how many edits each picture's original is the nearest entry."""
    hits = [int(row["r@1"]) for row in read_table(file)]
    return [sum(hits[start : start + edits]) for start in range(0, len(hits), edits)]

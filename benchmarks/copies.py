"""Copy detection on drawn images, passive against active, on two indices.  ``python -m benchmarks.copies``.

Runs the commands a user would run: 3,000 drawn pictures train the indices, 5,000 fill them, 200 are released and looked up after the
paper's 15 edits, and once more after random chains, together with 400 strangers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from engine.cli import run
from engine.tables import read_table
from eval.__main__ import main as evaluate
from indexing.__main__ import main as indexing
from tiny.__main__ import main as tiny

INDICES = {"IVF64,Flat": "ivf", "IVF64,PQ8x6": "ivfpq"}
ROOT = Path("outputs/copies")


def do(room: object, *arguments: object) -> None:
    """One command; a failure ends the benchmark."""
    if run(room, [str(argument) for argument in arguments]):  # type: ignore[arg-type]
        sys.exit(1)


def main() -> None:
    """Make what is missing, measure, and print the tables."""
    if not (ROOT / "strangers").is_dir():
        do(tiny, "pictures", "-o", ROOT)
    network = ("--extractor.name", "checkpoints/tiny/copies", "--workers=0", "--accelerator=cpu")
    for name in ("training", "references"):
        if not (ROOT / "features" / name / "features.npy").is_file():
            do(indexing, "extract", ROOT / name, "-o", ROOT / "features" / name, *network)
    for factory, short in INDICES.items():
        index, active = ROOT / short / "index", ROOT / short / "active"
        if not (index / "index.json").is_file():
            features = (ROOT / "features" / "references", "--train", ROOT / "features" / "training")
            do(indexing, "build", *features, "-o", index, "--factory", factory)
            settings = ("-c", "configs/indexing/tiny_activate.yaml")
            do(indexing, "activate", ROOT / "originals", "-o", active, *settings, "--index", index)
            do(indexing, "add", index, active / "originals")
        arms = ("--arms.passive", ROOT / "originals", "--arms.active", active)
        study = ("-c", "configs/indexing/tiny_retrieval.yaml", "--index", index, *arms)
        do(evaluate, "retrieval", "-o", ROOT / short / "retrieval", *study)
        print(f"{factory}: {measures(read_table(active / 'activated.csv'))}", flush=True)


def measures(rows: list[dict[str, str]]) -> str:
    """Quality of the released pictures, and how much nearer to their targets they are, in words."""
    column = {
        name: np.array([float(row[name]) for row in rows])
        for name in ("psnr", "ssim", "levels", "distance_before", "distance_after")
    }
    quality = f"PSNR {column['psnr'].mean():.2f} dB (least {column['psnr'].min():.2f}), SSIM {column['ssim'].mean():.4f}"
    before, after = column["distance_before"].mean(), column["distance_after"].mean()
    return f"{quality}, largest change {column['levels'].max():.0f} levels, squared distance to the target {before:.3f} to {after:.3f}"


if __name__ == "__main__":
    main()

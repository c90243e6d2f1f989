"""Copy detection on drawn images, passive and active, with two indices.

Run ``python -m benchmarks.copies``, or ``python -m benchmarks.copies --seeds 13 14`` to see how
much another training of the network changes.

It runs a user's commands. 3,000 drawn images train the indices and 5,000 fill them. 200 images are
released and looked up after the paper's 15 edits, and again after random chains, together with 400
distractor queries.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from engine.cli import run
from engine.tables import read_table
from eval.__main__ import main as evaluate
from indexing.__main__ import main as indexing
from tiny.__main__ import main as tiny
from tiny.fitting import Place
from tiny.train_recognition import train_copies

INDICES = {"IVF64,Flat": "ivf", "IVF64,PQ8x6": "ivfpq"}
ROOT = Path("outputs/copies")


def run_command(package: object, *arguments: object) -> None:
    """Run a command; a failure ends the benchmark."""
    if run(package, [str(argument) for argument in arguments]):  # type: ignore[arg-type]
        sys.exit(1)


def main() -> None:
    """Make missing files, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seeds", type=int, nargs="*", default=[], help="seeds of networks to train and measure"
    )
    seeds = parser.parse_args().seeds
    if not (ROOT / "strangers").is_dir():
        run_command(tiny, "pictures", "-o", ROOT)
    networks = {"shipped": Path("checkpoints/tiny/copies")}
    networks |= {f"seed {seed}": trained_network(seed) for seed in seeds}
    for name, network in networks.items():
        for factory, short in INDICES.items():
            print(f"{name}, {factory}", flush=True)
            measure_index(network, factory, ROOT / name.replace(" ", "_") / short)


def trained_network(seed: int) -> Path:
    """Train the network with another seed, unless it is there; return its folder."""
    shipped = ROOT / "networks" / str(seed)
    if not (shipped / "copies" / "training.json").is_file():
        train_copies(Place(shipped, ROOT / "networks" / f"{seed}.work"), "copies", seed=seed)
    return shipped / "copies"


def measure_index(network: Path, factory: str, folder: Path) -> None:
    """Build an index, activate images, and run the retrieval study.

    Args:
        network: Folder of the network.
        factory: Kind of the index.
        folder: Folder of the results; its parent gets the features.
    """
    extractor = ("--extractor.name", network, "--workers=0", "--accelerator=cpu")
    features = folder.parent / "features"
    for name in ("training", "references"):
        if not (features / name / "features.npy").is_file():
            run_command(indexing, "extract", ROOT / name, "-o", features / name, *extractor)
    index = folder / "index"
    active = folder / "active"
    if not (index / "index.json").is_file():
        vectors = (features / "references", "--train", features / "training")
        run_command(indexing, "build", *vectors, "-o", index, "--factory", factory)
        settings = ("-c", "configs/indexing/tiny_activate.yaml", "--index", index, *extractor)
        run_command(indexing, "activate", ROOT / "originals", "-o", active, *settings)
        run_command(indexing, "add", index, active / "originals")
    arms = ("--arms.passive", ROOT / "originals", "--arms.active", active)
    study = ("-c", "configs/indexing/tiny_retrieval.yaml", "--index", index, *arms, *extractor)
    run_command(evaluate, "retrieval", "-o", folder / "retrieval", *study)
    print(activation_summary(read_table(active / "activated.csv")), flush=True)


def activation_summary(rows: list[dict[str, str]]) -> str:
    """Describe image quality and distances to the targets of the released images."""
    columns = {}
    for name in ("psnr", "ssim", "levels", "distance_before", "distance_after"):
        columns[name] = np.array([float(row[name]) for row in rows if row["psnr"]])
    psnr = columns["psnr"]
    before = columns["distance_before"].mean()
    after = columns["distance_after"].mean()
    return (
        f"PSNR {psnr.mean():.2f} dB (least {psnr.min():.2f}), SSIM {columns['ssim'].mean():.4f}, "
        f"largest change {columns['levels'].max():.0f} levels, "
        f"squared distance to the target {before:.3f} to {after:.3f}"
    )


if __name__ == "__main__":
    main()

"""Gradient-attacked pairs from three models: the published way against ours.  ``python -m benchmarks.pairs``.

The models are those of :mod:`benchmarks.adv_sds`. The last column is the denoising error that the attacked pictures end with, under the
same noise in each row: what the ascent raises, so that a faster row that climbs less would show.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.adv_sds import SIDE, build, load_apart
from benchmarks.reference_rid import momentum_ascent
from benchmarks.rows import peak_megabytes, run_row
from rid.ensemble import DiffusionEnsemble
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising
from rid.pairs.pgd import pgd

BATCH, ROUNDS, STEPS, LEVELS, STEP_LEVELS = 2, 1, 3, 6.0, 0.6


def attack(way: str, names: list[str], images: Tensor) -> tuple[Tensor, float]:
    """The attacked pictures and the seconds they took."""
    config = PGDConfig(STEPS, STEP_LEVELS, 0.99, ROUNDS)
    torch.manual_seed(0)
    if way == "published":
        models = load_apart(names)
        start = time.perf_counter()
        made = (
            momentum_ascent(
                models, images * 2 - 1, ROUNDS, STEPS, LEVELS / 127.5, STEP_LEVELS / 127.5
            )
            / 2
            + 0.5
        )
    else:
        lower = way.endswith("bfloat16")
        parts = [names] if "mean of the models" in way else [[name] for name in names]
        objectives = [
            Denoising(DiffusionEnsemble(part, dtype=torch.bfloat16 if lower else torch.float32))
            for part in parts
        ]
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            made = pgd(images, objectives, LEVELS, config, torch.Generator().manual_seed(0))
    return made, time.perf_counter() - start


def run(way: str, names: list[str]) -> dict[str, float]:
    """Pictures a second, peak memory and the denoising error reached."""
    images = torch.nn.functional.interpolate(
        torch.rand(BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(1)), SIDE
    )
    attack(way, names, images[:1])
    made, seconds = attack(way, names, images)
    megabytes = peak_megabytes()
    with torch.no_grad():
        ensemble, source = DiffusionEnsemble(names), torch.Generator().manual_seed(2)
        error = torch.stack([ensemble.denoising_loss(made, source) for _ in range(8)]).mean()
    return {"speed": BATCH / seconds, "megabytes": megabytes, "error": float(error)}


def main(arguments: list[str]) -> None:
    """Print the table, or one row's figures as JSON."""
    if arguments:
        print(
            json.dumps(
                run(arguments[0], [str(Path(arguments[1]) / str(index)) for index in range(3)])
            )
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        first: dict[str, float] = {}
        for way in (
            "published",
            "ours, in turn",
            "ours, in turn, bfloat16",
            "ours, mean of the models, bfloat16",
        ):
            row = run_row("pairs", way, folder)
            first = first or row
            ratio, memory = row["speed"] / first["speed"], row["megabytes"] / first["megabytes"]
            print(
                f"| {way} | {row['speed']:.3f} pictures/s | {ratio:.2f} x | {memory:.2f} | {row['error']:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])

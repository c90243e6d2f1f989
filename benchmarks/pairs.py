"""Speed of PGD-attacked pairs from three models, published and ours.

Run ``python -m benchmarks.pairs``.

The models are those of :mod:`benchmarks.adv_sds`. The last column is the denoising error of the
attacked images, under the same noise in each row. The attack maximizes it, so that a faster but
weaker row would show.
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

BATCH = 2
ROUNDS = 1
STEPS = 3

LEVELS = 6.0
"""Budget, in gray levels."""

STEP_LEVELS = 0.6
"""Step size, in gray levels."""

ROWS = (
    "published",
    "ours, in turn",
    "ours, in turn, bfloat16",
    "ours, mean of the models, bfloat16",
)


def attack(way: str, names: list[str], images: Tensor) -> tuple[Tensor, float]:
    """Attack images, (B, 3, S, S) in [0, 1].

    Args:
        way: Name of the row.
        names: Folders of the models.
        images: Images to attack.

    Returns:
        The attacked images and the seconds without loading the models.
    """
    config = PGDConfig(STEPS, STEP_LEVELS, 0.99, ROUNDS)
    torch.manual_seed(0)
    if way == "published":
        models = load_apart(names)
        bound = LEVELS / 127.5
        step_size = STEP_LEVELS / 127.5
        start = time.perf_counter()
        attacked = momentum_ascent(models, images * 2 - 1, ROUNDS, STEPS, bound, step_size)
        return attacked / 2 + 0.5, time.perf_counter() - start
    autocast_bf16 = way.endswith("bfloat16")
    dtype = torch.bfloat16 if autocast_bf16 else torch.float32
    groups = [names] if "mean of the models" in way else [[name] for name in names]
    objectives = [Denoising(group, prompt=" ") for group in groups]
    for objective in objectives:
        objective.dtype = dtype
        objective.start_round(images, torch.Generator())  # opens the models
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast_bf16):
        attacked = pgd(images, objectives, LEVELS, config, torch.Generator().manual_seed(0))
    return attacked, time.perf_counter() - start


def run(way: str, names: list[str]) -> dict[str, float]:
    """Measure speed, peak memory and the attacked images' denoising error."""
    coarse = torch.rand(BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    images = torch.nn.functional.interpolate(coarse, SIDE)
    attack(way, names, images[:1])
    attacked, seconds = attack(way, names, images)
    megabytes = peak_megabytes()
    with torch.no_grad():
        ensemble = DiffusionEnsemble(names)
        generator = torch.Generator().manual_seed(2)
        losses = [ensemble.denoising_loss(attacked, generator) for _ in range(8)]
        error = torch.stack(losses).mean()
    return {"speed": BATCH / seconds, "megabytes": megabytes, "error": float(error)}


def main(arguments: list[str]) -> None:
    """Print the table, or one row's figures as JSON."""
    if arguments:
        way, folder = arguments
        names = [str(Path(folder) / str(index)) for index in range(3)]
        print(json.dumps(run(way, names)))
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        first: dict[str, float] = {}
        for way in ROWS:
            row = run_row("pairs", way, folder)
            first = first or row
            cells = [
                way,
                f"{row['speed']:.3f} images/s",
                f"{row['speed'] / first['speed']:.2f} x",
                f"{row['megabytes'] / first['megabytes']:.2f}",
                f"{row['error']:.4f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

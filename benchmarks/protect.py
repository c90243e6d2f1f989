"""Protecting 512-pixel photos with a generator of the paper's size: the published way against ours.  ``python -m benchmarks.protect``.

Each row runs in a process of its own, so that peak memory is its own. The weights are random: speed does not depend on them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.reference_rid import UnfoldedNet
from benchmarks.rows import peak_megabytes, run_row
from images.io import Photo, save_png
from rid.generator import PerturbationGenerator
from rid.protect.job import ProtectConfig, protect
from rid.weights import load_generator, save_generator

PHOTOS, BATCH = 8, 4


def build() -> PerturbationGenerator:
    """The paper's network, not folded, with non-zero random weights."""
    torch.manual_seed(0)
    generator = PerturbationGenerator()
    for block in [*generator.blocks, generator]:
        torch.nn.init.normal_(block.modulation, std=0.02)  # type: ignore[arg-type]
    torch.nn.init.normal_(generator.to_pixels.weight, std=0.02)
    return generator


def rate(step: Callable[[], object], pictures: int) -> float:
    """Pictures a second, after one warm-up."""
    step()
    start = time.perf_counter()
    step()
    return pictures / (time.perf_counter() - start)


@torch.inference_mode()
def reference(_: Path) -> float:
    """One photo at a time through the unfolded network in float32."""
    network, image = UnfoldedNet(build()), torch.rand(1, 3, 512, 512) * 2 - 1
    return rate(lambda: network(image), 1)


@torch.inference_mode()
def ours(weights: Path, dtype: torch.dtype) -> float:
    """A batch through the folded network."""
    network, images = load_generator(str(weights), dtype), torch.rand(BATCH, 3, 512, 512)
    return rate(lambda: network(images), BATCH)


def folder(weights: Path, precision: str) -> float:
    """The ``protect`` job from files to files, without loading the weights."""
    with tempfile.TemporaryDirectory() as place:
        for index in range(PHOTOS):
            small = torch.rand(1, 3, 32, 32)
            photo = torch.nn.functional.interpolate(small, (512, 512), mode="bicubic").clamp(0, 1)[
                0
            ]
            save_png(
                Photo((photo * 255).byte().permute(1, 2, 0).numpy()),
                Path(place) / "in" / f"{index}.png",
            )
        config = ProtectConfig(
            weights=str(weights), precision=precision, batch_size=BATCH, accelerator="cpu"
        )  # type: ignore[arg-type]
        one = Path(place) / "in" / "0.png"
        protect([one], Path(place) / "first", config)  # imports and kernels are paid for here
        start = time.perf_counter()
        protect([one], Path(place) / "one", config)
        overhead = time.perf_counter() - start
        start = time.perf_counter()
        protect([Path(place) / "in"], Path(place) / "all", config)
        return (PHOTOS - 1) / (time.perf_counter() - start - overhead)


ROWS: dict[str, Callable[[Path], float]] = {
    "published way, float32, one at a time": reference,
    "ours, float32": lambda weights: ours(weights, torch.float32),
    "ours, bfloat16": lambda weights: ours(weights, torch.bfloat16),
    "ours, folder to folder, float32": lambda weights: folder(weights, "32"),
    "ours, folder to folder, bfloat16": lambda weights: folder(weights, "bf16"),
}


def main(arguments: list[str]) -> None:
    """Print the table, or one row's figures as JSON."""
    if arguments:
        speed = ROWS[arguments[0]](Path(arguments[1]))
        print(json.dumps({"speed": speed, "megabytes": peak_megabytes()}))
        return
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as weights:
        save_generator(build().fold(), Path(weights))
        for name in ROWS:
            row = run_row("protect", name, weights)
            first = first or row
            ratio, memory = row["speed"] / first["speed"], row["megabytes"] / first["megabytes"]
            print(
                f"| {name} | {row['speed']:.3f} photos/s | {ratio:.2f} x | {row['megabytes']:.0f} MB | {memory:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])

"""Speed of protecting 512-pixel images, published and ours.

Run ``python -m benchmarks.protect``.

The generator has the paper's size. Each row is a process of its own, so that its peak memory can be
measured. The weights are random, since speed does not depend on them.

The small generator has 14 blocks of half the width, a quarter of the multiply-adds. It stands for a
student that imitates the paper's generator; see ``configs/rid/tiny_small.yaml``.
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
from images.io import save_png
from images.photo import Photo
from rid.generator import PerturbationGenerator
from rid.protect.job import ProtectConfig, protect
from rid.weights import load_generator, save_generator

IMAGES = 8
BATCH = 4
SIDE = 512
SMALL = 576


def build(width: int = 1152) -> PerturbationGenerator:
    """Build the paper's network, not folded, with non-zero random weights."""
    torch.manual_seed(0)
    generator = PerturbationGenerator(width=width)
    for block in [*generator.blocks, generator]:
        torch.nn.init.normal_(block.modulation, std=0.02)  # type: ignore[arg-type]
    torch.nn.init.normal_(generator.to_pixels.weight, std=0.02)
    return generator


def rate(step: Callable[[], object], images: int) -> float:
    """Measure images a second, after one warm-up."""
    step()
    start = time.perf_counter()
    step()
    return images / (time.perf_counter() - start)


@torch.inference_mode()
def reference(_: Path) -> float:
    """Measure the unfolded network in float32, one image at a time."""
    network = UnfoldedNet(build())
    image = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    return rate(lambda: network(image), 1)


@torch.inference_mode()
def ours(weights: Path, dtype: torch.dtype) -> float:
    """Measure the folded network, a batch at a time."""
    network = load_generator(str(weights), dtype)
    images = torch.rand(BATCH, 3, SIDE, SIDE)
    return rate(lambda: network(images), BATCH)


def write_images(folder: Path) -> None:
    """Write smooth random images as PNG files."""
    for index in range(IMAGES):
        coarse = torch.rand(1, 3, 32, 32)
        image = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
        image_u8 = (image.clamp(0, 1)[0] * 255).byte().permute(1, 2, 0).numpy()
        save_png(Photo(image_u8), folder / f"{index}.png")


def whole_job(weights: Path, precision: str) -> float:
    """Measure the ``protect`` job from files to files, without loading the weights."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "in")
        settings = {"precision": precision, "batch_size": BATCH, "accelerator": "cpu"}
        config = ProtectConfig(weights=str(weights), **settings)  # type: ignore[arg-type]
        one = folder / "in" / "0.png"
        # the first run pays for imports and kernels, the second measures the overhead
        protect([one], folder / "first", config)
        start = time.perf_counter()
        protect([one], folder / "one", config)
        overhead = time.perf_counter() - start
        start = time.perf_counter()
        protect([folder / "in"], folder / "all", config)
        return (IMAGES - 1) / (time.perf_counter() - start - overhead)


def exported(int8: bool) -> float:
    """Measure the small network as an ONNX file, a batch at a time."""
    import onnxruntime

    from rid.export import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.onnx"
        export_onnx(build(SMALL), file, int8)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        images = torch.rand(BATCH, 3, SIDE, SIDE).numpy()
        return rate(lambda: session.run(None, {"images": images}), BATCH)


@torch.inference_mode()
def small(dtype: torch.dtype) -> float:
    """Measure the small network, a batch at a time."""
    network = build(SMALL).fold().to(dtype)
    images = torch.rand(BATCH, 3, SIDE, SIDE)
    return rate(lambda: network(images), BATCH)


ROWS: dict[str, Callable[[Path], float]] = {
    "published way, float32, one at a time": reference,
    "ours, float32": lambda weights: ours(weights, torch.float32),
    "ours, bfloat16": lambda weights: ours(weights, torch.bfloat16),
    "ours, folder to folder, float32": lambda weights: whole_job(weights, "32"),
    "ours, folder to folder, bfloat16": lambda weights: whole_job(weights, "bf16"),
    "small, float32": lambda _: small(torch.float32),
    "small, bfloat16": lambda _: small(torch.bfloat16),
    "small, ONNX, float32": lambda _: exported(int8=False),
    "small, ONNX, 8-bit integers": lambda _: exported(int8=True),
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
            cells = [
                name,
                f"{row['speed']:.3f} images/s",
                f"{row['speed'] / first['speed']:.2f} x",
                f"{row['megabytes']:.0f} MB",
                f"{row['megabytes'] / first['megabytes']:.2f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

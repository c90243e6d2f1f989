"""Speed and memory of an Adv-SDS step, published and ours.

Run ``python -m benchmarks.adv_sds``.

UNets and autoencoders have the shape of Stable Diffusion 1.5 at a quarter of its width, with random
weights. Three models are attacked. The first two share an autoencoder, as SD 1.4 and 1.5 do. Each
row is a process of its own, so that its peak memory can be measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import AutoTokenizer, CLIPTextModel

from benchmarks.reference_rid import adv_sds_step
from benchmarks.rows import peak_megabytes, run_row
from rid.ensemble import DiffusionEnsemble
from tiny.dataset import PortraitDataset
from tiny.diffusion import build_text_encoder, build_tokenizer, pipeline, save_half

SIDE = 256
REPEATS = 5


def build(folder: Path) -> list[str]:
    """Write three pipelines with random weights, and return their folders."""
    torch.manual_seed(0)
    portraits = PortraitDataset(0, 50, 1).__getitems__(list(range(50)))
    tokenizer = build_tokenizer([item["caption"] for item in portraits])
    vaes = [random_vae(), random_vae()]
    names = []
    for index, vae in enumerate((vaes[0], vaes[0], vaes[1])):
        unet = UNet2DConditionModel(
            sample_size=SIDE // 8,
            block_out_channels=(80, 160, 320, 320),
            norm_num_groups=16,
            cross_attention_dim=192,
            attention_head_dim=2,
        )
        text_encoder = build_text_encoder(tokenizer, 192, 4)
        save_half(pipeline(vae, unet, text_encoder, tokenizer), folder / str(index))
        vae.float()
        names.append(str(folder / str(index)))
    return names


def random_vae() -> AutoencoderKL:
    """Build an autoencoder with random weights."""
    return AutoencoderKL(
        block_out_channels=(32, 64, 128, 128),
        layers_per_block=2,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
    )


def load_apart(names: list[str]) -> list[dict[str, Any]]:
    """Load every model without sharing parts, for :mod:`benchmarks.reference_rid`."""
    return [load_model(name) for name in names]


def load_model(name: str) -> dict[str, Any]:
    """Load networks, prompt tokens and ``alphas_cumprod`` of a model."""
    tokenizer = AutoTokenizer.from_pretrained(name, subfolder="tokenizer")
    tokens = tokenizer(" ", padding="max_length", max_length=40, return_tensors="pt")
    scheduler = DDPMScheduler.from_pretrained(name, subfolder="scheduler")
    return {
        "vae": AutoencoderKL.from_pretrained(name, subfolder="vae"),
        "unet": UNet2DConditionModel.from_pretrained(name, subfolder="unet"),
        "text_encoder": CLIPTextModel.from_pretrained(
            name, subfolder="text_encoder", dtype=torch.float32
        ),
        "tokens": tokens.input_ids,
        "alphas_cumprod": scheduler.alphas_cumprod,
    }


def published_step(names: list[str]) -> Callable[[Tensor], Tensor]:
    """Return the published loss of (B, 3, S, S) images in [0, 1]."""
    models = load_apart(names)
    for model in models:
        for part in ("vae", "unet", "text_encoder"):
            model[part].requires_grad_(False)
    return lambda images: adv_sds_step(models, images * 2 - 1)


def run(way: str, folder: Path) -> float:
    """Measure the seconds of a forward and backward pass of one image."""
    names = [str(folder / str(index)) for index in range(3)]
    image = torch.rand(1, 3, SIDE, SIDE)
    autocast_bf16 = way == "ours, bfloat16"
    if way.startswith("ours"):
        dtype = torch.bfloat16 if autocast_bf16 else torch.float32
        step: Callable[[Tensor], Tensor] = DiffusionEnsemble(names, dtype=dtype).adv_sds
    else:
        step = published_step(names)
    start = 0.0
    for repeat in range(REPEATS + 1):
        if repeat == 1:  # the first pass warms up
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast_bf16):
            loss = step(image.clone().requires_grad_())
        loss.backward()
    return (time.perf_counter() - start) / REPEATS


def main(arguments: list[str]) -> None:
    """Print the table, or one row's figures as JSON."""
    if arguments:
        seconds = run(arguments[0], Path(arguments[1]))
        print(json.dumps({"seconds": seconds, "megabytes": peak_megabytes()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        first: dict[str, float] = {}
        for way in ("published", "ours, float32", "ours, bfloat16"):
            row = run_row("adv_sds", way, folder)
            first = first or row
            speed = first["seconds"] / row["seconds"]
            memory = row["megabytes"] / first["megabytes"]
            cells = [
                way,
                f"{row['seconds']:.2f} s a step",
                f"{speed:.2f} x",
                f"{row['megabytes']:.0f} MB",
                f"{memory:.2f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

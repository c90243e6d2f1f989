"""Speed and memory of an Adv-SDS step, published and ours.

Run ``python -m benchmarks.adv_sds``.

UNets and autoencoders have the shape of Stable Diffusion 1.5 at a quarter of its width, with random
weights. Three models with one, two or three distinct encoders are attacked. SD 1.4, 1.5 and 2.1,
which the paper attacks, have one. The published way encodes for each model. "The limit" is what no
step can do without: one pass through each encoder and back, and one through each UNet. Each row is
a process of its own, so that its peak memory beyond the libraries can be measured. The loss is that
of the first step, from the same noise in every row.
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
MODELS = 3
REPEATS = 5
PUBLISHED = "published way"
LIMIT = "the limit, bfloat16"
WAYS = (
    PUBLISHED,
    "ours, float32",
    "ours, bfloat16",
    "ours, bfloat16, encoders recomputed",
    LIMIT,
)


def build(folder: Path) -> None:
    """Write pipelines with random weights for 1 to 3 distinct encoders, a folder for each."""
    torch.manual_seed(0)
    portraits = PortraitDataset(0, 50, 1).__getitems__(list(range(50)))
    tokenizer = build_tokenizer([item["caption"] for item in portraits])
    vaes = [random_vae() for _ in range(MODELS)]
    for index in range(MODELS):
        unet = UNet2DConditionModel(
            sample_size=SIDE // 8,
            block_out_channels=(80, 160, 320, 320),
            norm_num_groups=16,
            cross_attention_dim=192,
            attention_head_dim=2,
        )
        text_encoder = build_text_encoder(tokenizer, 192, 4)
        for encoders in range(1, MODELS + 1):
            vae = vaes[min(index, encoders - 1)]
            save_half(
                pipeline(vae, unet, text_encoder, tokenizer), folder / f"{encoders}" / str(index)
            )
            for network in (vae, unet, text_encoder):
                network.float()


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


def limit_step(ensemble: DiffusionEnsemble) -> Callable[[Tensor], Tensor]:
    """Return only the passes that every step needs."""

    def step(images: Tensor) -> Tensor:
        latents = [encoder.encode(images).latent_dist.mean for encoder in ensemble.encoders]
        with torch.no_grad():
            for model in ensemble.surrogates:
                model.predict_noise(latents[model.encoder], torch.tensor([500]))
        return torch.stack(latents).sum()

    return step


def run(way: str, folder: Path) -> tuple[float, float]:
    """Measure the seconds of a forward and backward pass of one image, and the first loss."""
    names = [str(folder / str(index)) for index in range(MODELS)]
    torch.manual_seed(0)
    image = torch.rand(1, 3, SIDE, SIDE)
    autocast_bf16 = "bfloat16" in way
    if way == PUBLISHED:
        step = published_step(names)
    else:
        dtype = torch.bfloat16 if autocast_bf16 else torch.float32
        ensemble = DiffusionEnsemble(names, dtype=dtype, checkpointing="recomputed" in way)
        step = limit_step(ensemble) if way == LIMIT else ensemble.adv_sds
    start = first = 0.0
    for repeat in range(REPEATS + 1):
        if repeat == 1:  # the first pass warms up
            start = time.perf_counter()
        torch.manual_seed(repeat)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast_bf16):
            loss = step(image.clone().requires_grad_())
        loss.backward()
        first = first or loss.item()
    return (time.perf_counter() - start) / REPEATS, first


def main(arguments: list[str]) -> None:
    """Print the table, or one row's figures as JSON."""
    if arguments:
        libraries = peak_megabytes()
        seconds, loss = run(arguments[0], Path(arguments[1]))
        megabytes = peak_megabytes() - libraries
        print(json.dumps({"seconds": seconds, "megabytes": megabytes, "loss": loss}))
        return
    print(
        "| encoders | | s a step | ratio | peak MB | ratio | loss |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for encoders in range(1, MODELS + 1):
            first: dict[str, float] = {}
            for way in WAYS:
                row = run_row("adv_sds", way, str(Path(folder) / str(encoders)))
                first = first or row
                cells = [
                    str(encoders),
                    way,
                    f"{row['seconds']:.2f}",
                    f"{first['seconds'] / row['seconds']:.2f}",
                    f"{row['megabytes']:.0f}",
                    f"{row['megabytes'] / first['megabytes']:.2f}",
                    "" if way == LIMIT else f"{row['loss']:.4f}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

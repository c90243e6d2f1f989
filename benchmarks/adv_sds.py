"""An Adv-SDS step against three models: the published way against ours.  ``python -m benchmarks.adv_sds``.

UNets and autoencoders have the shape of Stable Diffusion 1.5 at a quarter of its width, with random weights; the first two models
share an autoencoder, as SD 1.4 and 1.5 do. Each row runs in a process of its own, so that peak memory is its own.
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

SIDE, REPEATS = 256, 5


def build(folder: Path) -> list[str]:
    """Three pipelines with random weights."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(
        [item["caption"] for item in PortraitDataset(0, 50, 1).__getitems__(list(range(50)))]
    )
    vaes = [
        AutoencoderKL(
            block_out_channels=(32, 64, 128, 128),
            layers_per_block=2,
            norm_num_groups=8,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
        )
        for _ in range(2)
    ]
    names = []
    for index, vae in enumerate((vaes[0], vaes[0], vaes[1])):
        unet = UNet2DConditionModel(
            sample_size=SIDE // 8,
            block_out_channels=(80, 160, 320, 320),
            norm_num_groups=16,
            cross_attention_dim=192,
            attention_head_dim=2,
        )
        whole = pipeline(vae, unet, build_text_encoder(tokenizer, 192, 4), tokenizer)
        save_half(whole, folder / str(index))
        vae.float()
        names.append(str(folder / str(index)))
    return names


def load_apart(names: list[str]) -> list[dict[str, Any]]:
    """Every model with an autoencoder and a text encoder of its own, for :mod:`benchmarks.reference_rid`."""
    models = []
    for name in names:
        tokenizer = AutoTokenizer.from_pretrained(name, subfolder="tokenizer")
        models.append(
            {
                "vae": AutoencoderKL.from_pretrained(name, subfolder="vae"),
                "unet": UNet2DConditionModel.from_pretrained(name, subfolder="unet"),
                "text_encoder": CLIPTextModel.from_pretrained(
                    name, subfolder="text_encoder", dtype=torch.float32
                ),
                "tokens": tokenizer(
                    " ", padding="max_length", max_length=40, return_tensors="pt"
                ).input_ids,
                "signal": DDPMScheduler.from_pretrained(name, subfolder="scheduler").alphas_cumprod,
            }
        )
    return models


def run(way: str, folder: Path) -> float:
    """Seconds of a forward and backward pass of one picture."""
    names, image = [str(folder / str(index)) for index in range(3)], torch.rand(1, 3, SIDE, SIDE)
    step: Callable[[Tensor], Tensor]
    lower = way == "ours, bfloat16"
    if way.startswith("ours"):
        step = DiffusionEnsemble(names, dtype=torch.bfloat16 if lower else torch.float32).adv_sds
    else:
        models = load_apart(names)
        for model in models:
            for part in ("vae", "unet", "text_encoder"):
                model[part].requires_grad_(False)
        step = lambda picture: adv_sds_step(models, picture * 2 - 1)  # noqa: E731
    for turn in range(REPEATS + 1):
        if turn == 1:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
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
        rows = {}
        for way in ("published", "ours, float32", "ours, bfloat16"):
            rows[way] = run_row("adv_sds", way, folder)
            faster, memory = (
                rows["published"]["seconds"] / rows[way]["seconds"],
                rows[way]["megabytes"] / rows["published"]["megabytes"],
            )
            figures = f"{rows[way]['seconds']:.2f} s a step | {faster:.2f} x | {rows[way]['megabytes']:.0f} MB | {memory:.2f}"
            print(f"| {way} | {figures} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

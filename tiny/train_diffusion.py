"""Recipes of autoencoders and diffusion models."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from lightning import seed_everything
from transformers import CLIPTextModel, CLIPTokenizer

from datamodules.datamodule import ImageDataModule
from models.pipelines import open_autoencoder
from tiny.autoencoder import AutoencoderTask, build_autoencoder, whiten
from tiny.dataset import PortraitDataset
from tiny.diffusion import (
    DiffusionTask,
    LatentDataset,
    build_text_encoder,
    build_tokenizer,
    build_unet,
    pipeline,
    save_half,
    tokenize,
)
from tiny.fitting import Place, fit, record
from tiny.train_sources import TRAINING_PEOPLE, VALIDATION_FIRST, sources
from tiny.unconditional import UnconditionalTask, Views, build_denoiser, save_unconditional
from tiny.upscaler import Crops, UpscalerTask, build_upscaler, rescale, save_upscaler


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Widths per level, latent channels, optimiser steps at a batch of 8, and seed."""

    channels: tuple[int, ...]
    latent_channels: int
    steps: int
    seed: int

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        seed_everything(self.seed, verbose=False)
        network = build_autoencoder(self.channels, self.latent_channels)
        total = steps or self.steps
        task = AutoencoderTask(network, total, lr=1.5e-3, edge_weight=0.15, kl_weight=1e-6)
        train, held_out, note = sources(place, TRAINING_PEOPLE, 8, 64)
        seconds = fit(
            task, ImageDataModule(train, held_out, batch_size=8), total, place.work / name
        )
        network.eval()
        some = range(0, min(4096, len(train)), 8)  # of drawn people the first picture of each
        whiten(network, torch.stack([item["image"] for item in train.__getitems__(list(some))]))
        network.save_pretrained(place.work / name)
        record(place.work / name, self.seed, total, 8, seconds, note)


@dataclass(frozen=True)
class DiffusionRecipe:
    """A pipeline on an autoencoder: trained anew, or continued from another one, as Stable Diffusion's versions were.

    Attributes:
        autoencoder: Name of the autoencoder recipe.
        steps: Optimiser steps at a batch of 32.
        seed: Of initialisation and data.
        origin: Shipped pipeline to go on from; None trains anew.
    """

    autoencoder: str
    steps: int
    seed: int
    origin: str | None = None
    channels: tuple[int, ...] = (64, 96)
    text_width: int = 96
    pictures: int = 24_000

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        seed_everything(self.seed, verbose=False)
        total = steps or self.steps
        vae = open_autoencoder(place.autoencoder or place.work / self.autoencoder)
        train, held_out, note = sources(place, self.pictures // 4, 4, 128)
        if self.origin is None:
            tokenizer = build_tokenizer(
                [train.caption(index) for index in range(0, min(8000, len(train)), 2)]
            )
            text_encoder = build_text_encoder(tokenizer, self.text_width, layers=2)
            unet = build_unet(
                vae.config.latent_channels,
                place.size // 8,
                self.channels,
                self.text_width,
                head_width=16,
            )
        else:
            origin = place.shipped / self.origin
            tokenizer = CLIPTokenizer.from_pretrained(origin / "tokenizer")
            text_encoder = CLIPTextModel.from_pretrained(
                origin / "text_encoder", dtype=torch.float32
            )
            unet = UNet2DConditionModel.from_pretrained(origin / "unet", dtype=torch.float32)
            note += f"; continued from {self.origin}"
        latents, unseen = (LatentDataset.encode(part, vae, tokenizer) for part in (train, held_out))
        empty = tokenize(tokenizer, [""])[0]
        task = DiffusionTask(
            unet, text_encoder, empty, total, lr=1.5e-3 if self.origin is None else 5e-4
        )
        seconds = fit(
            task, ImageDataModule(latents, unseen, batch_size=32), total, place.work / name
        )
        save_half(pipeline(vae, unet.eval(), text_encoder.eval(), tokenizer), place.shipped / name)
        if (first := place.work / self.autoencoder / "training.json").is_file():
            shutil.copy(first, place.shipped / name / "vae")
        record(place.shipped / name, self.seed, total, 32, seconds, note)


def train_unconditional(
    place: Place, name: str, steps: int | None = None, people: int = 6000, pictures: int = 4
) -> None:
    """The unconditional model of the diffusion purifiers."""
    seed_everything(9, verbose=False)
    total = steps or 6000
    network = build_denoiser((32, 64, 96))
    train, held_out, note = sources(place, people, pictures, 128)
    task = UnconditionalTask(network, total, lr=1e-3)
    seconds = fit(
        task,
        ImageDataModule(Views(train), Views(held_out), batch_size=32),
        total,
        place.work / name,
    )
    save_unconditional(network.eval(), place.shipped / name)
    record(place.shipped / name, 9, total, 32, seconds, note)


def train_upscaler(place: Place, name: str, steps: int | None = None, people: int = 2000) -> None:
    """The x4 upscaler of the noisy upscaling purifier, told what to draw by the first pipeline's text encoder."""
    seed_everything(11, verbose=False)
    total = steps or 4500
    vae = AutoencoderKL.from_pretrained(place.work / "vae-up").eval()
    rescale(vae)
    tokenizer = CLIPTokenizer.from_pretrained(place.shipped / "sd-a1" / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(
        place.shipped / "sd-a1" / "text_encoder", dtype=torch.float32
    ).eval()
    portraits = (
        PortraitDataset(first, count, 1, size=256)
        for first, count in ((0, people), (VALIDATION_FIRST, 32))
    )
    data, held_out = (Crops.encode(drawn, vae, tokenizer, encoder) for drawn in portraits)
    with torch.no_grad():
        empty = encoder(tokenize(tokenizer, [""])).last_hidden_state[0]
    unet = build_upscaler((32, 64, 96), encoder.config.hidden_size)
    seconds = fit(
        UpscalerTask(unet, empty, total, lr=1e-3),
        ImageDataModule(data, held_out, batch_size=16),
        total,
        place.work / name,
    )
    save_upscaler(vae, unet.eval(), encoder, tokenizer, place.shipped / name)
    record(
        place.shipped / name,
        11,
        total,
        16,
        seconds,
        f"{people} portraits of 256 pixels, one of each identity, in windows",
    )

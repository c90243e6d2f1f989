"""Recipes of the autoencoders and diffusion models."""

from __future__ import annotations

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
    build_text_encoder,
    build_unet,
    pipeline,
    tokenize,
)
from tiny.fitting import Place, fit, record
from tiny.latent_recipe import BATCH_SIZE, encode, ship, tokenizer_of
from tiny.train_sources import TRAINING_PEOPLE, VALIDATION_FIRST, sources
from tiny.unconditional import PurifierViews, UnconditionalTask, build_denoiser, save_unconditional
from tiny.upscaler import UpscalerCrops, UpscalerTask, build_upscaler, rescale, save_upscaler


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Recipe of an autoencoder.

    Attributes:
        channels: Widths by level.
        latent_channels: Channels of the latents.
        steps: Optimizer steps with 8 images each.
        seed: Seed of initialization and data.
    """

    channels: tuple[int, ...]
    latent_channels: int
    steps: int
    seed: int

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        """Train the autoencoder.

        Args:
            place: Folders.
            name: Name of the model.
            steps: Optimizer steps; None takes the recipe's.
        """
        # Train.
        seed_everything(self.seed, verbose=False)
        network = build_autoencoder(self.channels, self.latent_channels)
        total = steps or self.steps
        task = AutoencoderTask(network, total, lr=1.5e-3, edge_weight=0.15, kl_weight=1e-6)
        train, held_out, note = sources(place, TRAINING_PEOPLE, 8, 64)
        data = ImageDataModule(train, held_out, batch_size=8)
        seconds = fit(task, data, total, place.work / name)
        # Whiten the latents by the first image of each drawn person.
        network.eval()
        first_images = list(range(0, min(4096, len(train)), 8))
        images = torch.stack([item["image"] for item in train.__getitems__(first_images)])
        whiten(network, images)
        network.save_pretrained(place.work / name)
        record(place.work / name, self.seed, total, 8, seconds, note)


@dataclass(frozen=True)
class DiffusionRecipe:
    """Recipe of a latent-diffusion pipeline.

    Attributes:
        autoencoder: Name of the autoencoder's recipe.
        steps: Optimizer steps with 32 images each.
        seed: Seed of initialization and data.
        origin: Shipped pipeline to continue from, as later versions of Stable Diffusion do; None
            trains from scratch.
        channels: Widths of the UNet by level.
        text_width: Width of the text encoder's hidden states.
        pictures: Number of training portraits, four of each identity.
    """

    autoencoder: str
    steps: int
    seed: int
    origin: str | None = None
    channels: tuple[int, ...] = (64, 96)
    text_width: int = 96
    pictures: int = 24_000

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        """Train the pipeline.

        Args:
            place: Folders.
            name: Name of the model.
            steps: Optimizer steps; None takes the recipe's.
        """
        seed_everything(self.seed, verbose=False)
        total = steps or self.steps
        # Open the autoencoder; build or open the other networks.
        vae = open_autoencoder(place.autoencoder or place.work / self.autoencoder)
        train, held_out, note = sources(place, self.pictures // 4, 4, 128)
        if self.origin is None:
            lr = 1.5e-3
            tokenizer = tokenizer_of(train)
            text_encoder = build_text_encoder(tokenizer, self.text_width, layers=2)
            unet = build_unet(
                vae.config.latent_channels,
                place.size // 8,
                self.channels,
                self.text_width,
                head_width=16,
            )
        else:
            lr = 5e-4
            origin = place.shipped / self.origin
            tokenizer = CLIPTokenizer.from_pretrained(origin / "tokenizer")
            text_folder = origin / "text_encoder"
            text_encoder = CLIPTextModel.from_pretrained(text_folder, dtype=torch.float32)
            unet = UNet2DConditionModel.from_pretrained(origin / "unet", dtype=torch.float32)
            note += f"; continued from {self.origin}"
        # Encode the images, and train.
        data = encode(train, held_out, vae, tokenizer)
        empty = tokenize(tokenizer, [""])[0]
        task = DiffusionTask(unet, text_encoder, empty, total, lr)
        seconds = fit(task, data, total, place.work / name)
        # Save the pipeline with the notes of both trainings.
        pipe = pipeline(vae, unet.eval(), text_encoder.eval(), tokenizer)
        ship(pipe, place, name, self.autoencoder)
        record(place.shipped / name, self.seed, total, BATCH_SIZE, seconds, note)


def train_unconditional(
    place: Place, name: str, steps: int | None = None, people: int = 6000, pictures: int = 4
) -> None:
    """Train the unconditional model of the diffusion purifiers.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of identities to train on.
        pictures: Images of each identity.
    """
    seed_everything(9, verbose=False)
    total = steps or 6000
    network = build_denoiser((32, 64, 96))
    train, held_out, note = sources(place, people, pictures, 128)
    task = UnconditionalTask(network, total, lr=1e-3)
    data = ImageDataModule(PurifierViews(train), PurifierViews(held_out), batch_size=32)
    seconds = fit(task, data, total, place.work / name)
    save_unconditional(network.eval(), place.shipped / name)
    record(place.shipped / name, 9, total, 32, seconds, note)


def train_upscaler(place: Place, name: str, steps: int | None = None, people: int = 2000) -> None:
    """Train the x4 upscaler of the noisy-upscaling purifier.

    It uses tokenizer and text encoder of the pipeline sd-a1.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of portraits to train on, one of each identity.
    """
    seed_everything(11, verbose=False)
    total = steps or 4500
    # Open the autoencoder and the text encoder.
    vae = AutoencoderKL.from_pretrained(place.work / "vae-up").eval()
    rescale(vae)
    origin = place.shipped / "sd-a1"
    tokenizer = CLIPTokenizer.from_pretrained(origin / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(origin / "text_encoder", dtype=torch.float32).eval()
    # Encode the portraits.
    train_portraits = PortraitDataset(0, people, 1, size=256)
    held_out_portraits = PortraitDataset(VALIDATION_FIRST, 32, 1, size=256)
    train = UpscalerCrops.encode(train_portraits, vae, tokenizer, encoder)
    held_out = UpscalerCrops.encode(held_out_portraits, vae, tokenizer, encoder)
    with torch.no_grad():
        empty = encoder(tokenize(tokenizer, [""])).last_hidden_state[0]
    # Train.
    unet = build_upscaler((32, 64, 96), encoder.config.hidden_size)
    task = UpscalerTask(unet, empty, total, lr=1e-3)
    data = ImageDataModule(train, held_out, batch_size=16)
    seconds = fit(task, data, total, place.work / name)
    save_upscaler(vae, unet.eval(), encoder, tokenizer, place.shipped / name)
    note = f"{people} portraits of 256 pixels, one of each identity, in crops"
    record(place.shipped / name, 11, total, 16, seconds, note)

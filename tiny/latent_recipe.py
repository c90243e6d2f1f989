"""Steps that all recipes of latent-diffusion pipelines take."""

from __future__ import annotations

import shutil

from diffusers import AutoencoderKL, DiffusionPipeline
from transformers import CLIPTokenizer

from datamodules.datamodule import ImageDataModule
from models.taef2 import TAEF2
from tiny.diffusion import LatentDataset, build_tokenizer, save_half
from tiny.fitting import Place
from tiny.train_sources import Captioned

BATCH_SIZE = 32


def tokenizer_of(train: Captioned) -> CLIPTokenizer:
    """Build a tokenizer with the words of the training captions."""
    return build_tokenizer([train.caption(index) for index in range(0, min(8000, len(train)), 2)])


def encode(
    train: Captioned, held_out: Captioned, vae: AutoencoderKL | TAEF2, tokenizer: CLIPTokenizer
) -> ImageDataModule:
    """Encode training and validation images, once for all steps."""
    latents = LatentDataset.encode(train, vae, tokenizer)
    held_out_latents = LatentDataset.encode(held_out, vae, tokenizer)
    return ImageDataModule(latents, held_out_latents, batch_size=BATCH_SIZE)


def ship(pipe: DiffusionPipeline, place: Place, name: str, autoencoder: str) -> None:
    """Save a pipeline, with the note of its autoencoder's training if there is one.

    Args:
        pipe: The pipeline; it is float16 afterwards.
        place: Folders.
        name: Name of the pipeline.
        autoencoder: Name of the autoencoder's recipe.
    """
    folder = place.shipped / name
    save_half(pipe, folder)
    note = place.work / autoencoder / "training.json"
    if note.is_file():
        shutil.copy(note, folder / "vae")

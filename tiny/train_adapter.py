"""Recipe of the IP-Adapter of the pipeline sd-a1."""

from __future__ import annotations

import torch
from diffusers import StableDiffusionPipeline
from lightning import seed_everything

from datamodules.datamodule import ImageDataModule
from tiny.adapter import (
    AdapterTask,
    ReferencePairs,
    build_encoder,
    initial_weights,
    save_adapter,
)
from tiny.dataset import PortraitDataset
from tiny.diffusion import LatentDataset, tokenize
from tiny.fitting import Place, fit, record
from tiny.train_sources import VALIDATION_FIRST, draw_or_read

WIDTH = 128
"""Width of the image encoder."""

PICTURES = 4
"""Images of each identity."""


def train_adapter(
    place: Place, name: str, steps: int | None = None, people: int = 3000, held_out: int = 32
) -> None:
    """Train the IP-Adapter with which one photo is a prompt of sd-a1.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of identities to train on.
        held_out: Number of identities to validate on.
    """
    seed_everything(12, verbose=False)
    total = steps or 6000
    # Open the pipeline, and give it an untrained adapter.
    pipeline = StableDiffusionPipeline.from_pretrained(
        place.shipped / "sd-a1", dtype=torch.float32, safety_checker=None
    )
    pipeline.unet._load_ip_adapter_weights(initial_weights(pipeline.unet, WIDTH))
    pipeline.unet.eval()
    encoder = build_encoder(64, WIDTH, layers=4)

    # Draw and encode the portraits.
    def pairs(first: int, count: int) -> ReferencePairs:
        portraits = PortraitDataset(first, count, PICTURES)
        latents = LatentDataset.encode(portraits, pipeline.vae, pipeline.tokenizer)
        return ReferencePairs(latents, draw_or_read(portraits), PICTURES)

    # Train.
    empty, plain = tokenize(pipeline.tokenizer, ["", "photo of a person"])
    networks = (pipeline.unet, pipeline.text_encoder, encoder)
    task = AdapterTask(*networks, empty, plain, total, lr=1e-3)
    data = ImageDataModule(pairs(0, people), pairs(VALIDATION_FIRST, held_out), batch_size=32)
    seconds = fit(task, data, total, place.work / name)
    save_adapter(pipeline.unet, encoder.eval(), place.shipped / name)
    note = f"{people} identities x {PICTURES} images; each with another image of the identity"
    record(place.shipped / name, 12, total, 32, seconds, note)

"""Settings of ``python -m datamodules synthesize`` and ``reconstruct``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from datamodules.fake2m.splits import Split

Codec = Literal["png", "bmp", "jpg", "webp"]


@dataclass(frozen=True)
class SynthesisConfig:
    """Settings of generated images.

    Attributes:
        model: Pipeline folder or Hub id.
        name: Name of the subset; part of the shards' names.
        split: Split of the shards.
        family: latent_diffusion, pixel_diffusion, autoregressive or gan.
        scheduler: Scheduler class of diffusers instead of the pipeline's, such as
            DPMSolverMultistepScheduler.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        size: Side in pixels; the pipeline's default if None.
        seed: Seed of the first image; the next images count up, whatever the batches and processes.
        codec: Codec of the files; use one codec for both classes of a detector's data.
        quality: Quality of jpg and webp, 1 to 100.
        per_shard: Images per shard.
        batch_size: Images per forward pass.

    Raises:
        ValueError: If a number is out of range.
    """

    model: str
    name: str
    split: Split = "train"
    family: str = "latent_diffusion"
    scheduler: str | None = None
    steps: int = 25
    guidance: float = 7.5
    size: int | None = None
    seed: int = 0
    codec: Codec = "png"
    quality: int = 96
    per_shard: int = 1000
    batch_size: int = 8

    def __post_init__(self) -> None:
        least = min(self.steps, self.per_shard, self.batch_size, self.size or 1)
        if least < 1 or not 1 <= self.quality <= 100:
            msg = (
                "steps, per_shard, batch_size and size must be at least 1 and quality 1 to 100: "
                f"{self}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class ReconstructionConfig:
    """Settings of reconstructed images.

    Attributes:
        autoencoder: Pipeline folder or Hub id, whose ``vae`` is used, or a folder with TAEF2's
            released files.
        name: Name of the subset; part of the shards' names.
        split: Split of the shards.
        align: ``dda`` also compresses and mixes some reconstructions with their originals, so that
            frequencies tell them apart less; see :mod:`datamodules.fake2m.alignment`.
        seed: Seed of the alignment.
    """

    autoencoder: str
    name: str
    split: Split = "train"
    align: Literal["none", "dda"] = "none"
    seed: int = 0

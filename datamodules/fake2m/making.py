"""Settings of ``python -m datamodules synthesize`` and ``reconstruct``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from datamodules.fake2m.splits import Split

Codec = Literal["png", "bmp", "jpg", "webp"]


@dataclass(frozen=True)
class SynthesisConfig:
    """How pictures are made.

    Attributes:
        model: Pipeline folder or Hub id.
        name: Of the subset; part of the shards' names.
        split: Of the shards.
        family: latent_diffusion, pixel_diffusion, autoregressive or gan.
        scheduler: Class of diffusers that takes the place of the pipeline's own, such as DPMSolverMultistepScheduler.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        size: Side in pixels; the pipeline's own if None.
        seed: Of the first picture; the next ones count up, whatever batches and processes they are made in.
        codec: Of the files; give both classes of a detector's data the same.
        quality: Of jpg and webp.
        per_shard: Pictures of a shard.
        batch_size: Pictures at a time.

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
        if (
            min(self.steps, self.per_shard, self.batch_size, self.size or 1) < 1
            or not 1 <= self.quality <= 100
        ):
            msg = f"steps, per_shard, batch_size and size must be at least 1 and quality 1 to 100: {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class ReconstructionConfig:
    """How pictures are reconstructed.

    Attributes:
        autoencoder: Pipeline folder or Hub id, whose ``vae`` is used, or a folder with TAEF2's released files.
        name: Of the subset; part of the shards' names.
        split: Of the shards.
    """

    autoencoder: str
    name: str
    split: Split = "train"

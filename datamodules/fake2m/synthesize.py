"""``python -m datamodules synthesize``: a new set of generated pictures, from captions and any text-to-image pipeline of diffusers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
from diffusers import DiffusionPipeline

from checkpoints.folders import PIPELINE_FILES, model_folder
from datamodules.fake2m.shard_job import Made, ShardJob, run_job
from datamodules.fake2m.sharding import GENERATED, Origin, Split, slug
from engine.manifest import fingerprint
from images.io import encode_as, to_levels

Codec = Literal["png", "bmp", "jpg", "webp"]
DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


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
        precision: Of the pipeline's weights.

    Raises:
        ValueError: If a number is below 1, or diffusers has no such scheduler.
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
    precision: Literal["32", "bf16", "16"] = "32"

    def __post_init__(self) -> None:
        if min(self.steps, self.per_shard, self.batch_size, self.size or 1) < 1 or not 1 <= self.quality <= 100:
            msg = f"steps, per_shard, batch_size and size must be at least 1 and quality 1 to 100: {self}"
            raise ValueError(msg)
        if self.scheduler is not None and not hasattr(diffusers, self.scheduler):
            msg = f"diffusers has no scheduler '{self.scheduler}'; one is DPMSolverMultistepScheduler"
            raise ValueError(msg)


class Synthesis(ShardJob):
    """Draws captions with a pipeline."""

    def __init__(self, config: SynthesisConfig, captions: Sequence[str], output: Path) -> None:
        facts = {"generator": config.model, "family": config.family, "sampler": config.scheduler or "its own", "steps": config.steps}
        super().__init__(Origin(config.split, slug(config.name), GENERATED, **facts), output)  # type: ignore[arg-type]
        self.config, self.captions = config, captions
        self.parts: dict[str, Any] = {}  # the pipeline, outside the module tree

    def setup(self, stage: str) -> None:
        folder = model_folder(self.config.model, "model_index.json", patterns=PIPELINE_FILES)
        pipeline: Any = DiffusionPipeline.from_pretrained(folder, dtype=DTYPES[self.config.precision])
        if "safety_checker" in pipeline.components:
            pipeline.register_modules(safety_checker=None)  # it would put black pictures in the place of some
        if self.config.scheduler is not None:
            pipeline.scheduler = getattr(diffusers, self.config.scheduler).from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        self.parts["pipeline"] = pipeline.to(self.trainer.strategy.root_device)

    def make(self, number: int) -> Iterator[Made]:
        config = self.config
        first, end = number * config.per_shard, min((number + 1) * config.per_shard, len(self.captions))
        for start in range(first, end, config.batch_size):
            places = range(start, min(start + config.batch_size, end))
            for place, levels in zip(places, to_levels(self._draw(places)), strict=True):
                content = encode_as(levels.permute(1, 2, 0).cpu().numpy(), config.codec, config.quality)
                known = {"caption": self.captions[place], "guidance": config.guidance, "seed": config.seed + place}
                yield f"{place:09d}", config.codec, content, known

    def _draw(self, places: range) -> torch.Tensor:
        config = self.config
        size = {} if config.size is None else {"height": config.size, "width": config.size}
        drawn = self.parts["pipeline"](
            [self.captions[place] for place in places],
            num_inference_steps=config.steps,
            guidance_scale=config.guidance,
            generator=[torch.Generator().manual_seed(config.seed + place) for place in places],
            output_type="np",  # in [0, 1] whatever the pipeline; "pt" is not for all of them
            **size,
        )
        return torch.from_numpy(drawn.images).permute(0, 3, 1, 2).float()


def synthesize(
    captions: Sequence[str], output: Path, config: SynthesisConfig, accelerator: str = "auto", devices: int = 1
) -> dict[str, Any] | None:
    """Make shards of generated pictures, one for each caption; a stopped job goes on shard by shard.

    Args:
        captions: What to draw.
        output: Folder of the shards.
        config: How.
        accelerator: Lightning's: auto, cpu, gpu.
        devices: Processes; shards are shared out among them, and come out the same however many there are.

    Returns:
        The subset's index; None on every process but the first.

    Raises:
        FileNotFoundError: If the pipeline is not there.
        ValueError: If there are no captions, or the folder holds this subset made in another way.
    """
    if not captions:
        msg = "there are no captions to draw from"
        raise ValueError(msg)
    digest = hashlib.sha256("\n".join(captions).encode()).hexdigest()
    weights = fingerprint(config.model, model_folder(config.model, "model_index.json", patterns=PIPELINE_FILES))
    settings = asdict(config) | {"captions": {"count": len(captions), "sha256": digest}, "weights": weights}
    shards = -(-len(captions) // config.per_shard)
    return run_job(Synthesis(config, captions, output), shards, "datamodules synthesize", settings, accelerator, devices)


def read_captions(file: Path) -> list[str]:
    """One caption a line.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]

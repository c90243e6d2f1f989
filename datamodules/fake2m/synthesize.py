"""``python -m datamodules synthesize``: a new set of generated pictures, from captions and any text-to-image pipeline of diffusers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline

from checkpoints.folders import PIPELINE_FILES, model_folder
from checkpoints.whole import opening
from datamodules.fake2m.making import SynthesisConfig
from datamodules.fake2m.shard_job import LeftOut, Sample, ShardInput, ShardJob, run_shard_job
from datamodules.fake2m.sharding import GENERATED, Origin, slug
from engine.devices import Process
from engine.files import read_text
from engine.job import JobOptions, Report
from engine.manifest import fingerprint
from images.io import encode_as, to_uint8


class Synthesis(ShardJob):
    """Draws captions with a pipeline."""

    command = "datamodules synthesize"

    def __init__(self, config: SynthesisConfig, captions: Sequence[str], output: Path) -> None:
        facts = {
            "generator": config.model,
            "family": config.family,
            "sampler": config.scheduler or "its own",
            "steps": config.steps,
        }
        super().__init__(Origin(config.split, slug(config.name), GENERATED, **facts), output)  # type: ignore[arg-type]
        self.config, self.captions = config, captions

    def open_models(self, process: Process) -> None:
        folder = model_folder(self.config.model, "model_index.json", patterns=PIPELINE_FILES)
        with opening(folder):
            pipeline: Any = DiffusionPipeline.from_pretrained(folder, dtype=process.dtype)
        if "safety_checker" in pipeline.components:
            pipeline.register_modules(
                safety_checker=None
            )  # it would put black images in the place of some
        if self.config.scheduler is not None:
            pipeline.scheduler = getattr(diffusers, self.config.scheduler).from_config(
                pipeline.scheduler.config
            )
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline: Any = pipeline.to(process.device)

    def make(self, shard: ShardInput) -> Iterator[Sample | LeftOut]:
        config = self.config
        first, end = (
            shard.number * config.per_shard,
            min((shard.number + 1) * config.per_shard, len(self.captions)),
        )
        for start in range(first, end, config.batch_size):
            self.report_step(start - first, end - first)
            places = range(start, min(start + config.batch_size, end))
            for place, levels in zip(places, to_uint8(self._draw(places)), strict=True):
                content = encode_as(
                    levels.permute(1, 2, 0).cpu().numpy(), config.codec, config.quality
                )
                known = {
                    "caption": self.captions[place],
                    "guidance": config.guidance,
                    "seed": config.seed + place,
                }
                yield Sample(f"{place:09d}", config.codec, content, known)

    def _draw(self, places: range) -> torch.Tensor:
        config = self.config
        size = {} if config.size is None else {"height": config.size, "width": config.size}
        drawn = self.pipeline(
            [self.captions[place] for place in places],
            num_inference_steps=config.steps,
            guidance_scale=config.guidance,
            generator=[torch.Generator().manual_seed(config.seed + place) for place in places],
            output_type="np",  # in [0, 1] whatever the pipeline; "pt" is not for all of them
            **size,
        )
        return torch.from_numpy(drawn.images).permute(0, 3, 1, 2).float()


def synthesize(
    captions: Sequence[str],
    output: Path,
    config: SynthesisConfig,
    options: JobOptions | None = None,
) -> tuple[dict[str, Any], Report] | None:
    """Make shards of generated images, one for each caption; goes on with a stopped job.

    Args:
        captions: What to draw.
        output: Folder of the shards.
        config: How images are made.
        options: How the job runs; shards are shared out over processes, and come out the same however many there are.

    Returns:
        The subset's index and the outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If the pipeline is not there.
        ValueError: If there are no captions, or the folder holds this subset made in another way.
    """
    if not captions:
        msg = "there are no captions to draw from"
        raise ValueError(msg)
    if config.scheduler is not None and not hasattr(diffusers, config.scheduler):
        msg = f"diffusers has no scheduler '{config.scheduler}'; one is DPMSolverMultistepScheduler"
        raise ValueError(msg)
    options = options or JobOptions()
    digest = hashlib.sha256("\n".join(captions).encode()).hexdigest()
    weights = fingerprint(
        config.model, model_folder(config.model, "model_index.json", patterns=PIPELINE_FILES)
    )
    precision = {"32-true": "32", "bf16-true": "bf16", "16-true": "16"}.get(
        options.devices.precision
    )
    if precision is None:
        msg = f"precision '{options.devices.precision}': images are drawn with 32-true, bf16-true or 16-true"
        raise ValueError(msg)
    about = {
        "captions": {"count": len(captions), "sha256": digest},
        "weights": weights,
        "precision": precision,
    }
    shards = -(-len(captions) // config.per_shard)
    return run_shard_job(
        Synthesis(config, captions, output), [None] * shards, asdict(config) | about, options
    )


def read_captions(file: Path) -> list[str]:
    """One caption a line.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return [line.strip() for line in read_text(file).split("\n") if line.strip()]

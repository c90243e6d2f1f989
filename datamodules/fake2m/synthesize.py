"""Synthesis: images generated from captions with any text-to-image pipeline of diffusers."""

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
from checkpoints.whole import absent_parts, explaining_load_errors
from datamodules.fake2m.making import SynthesisConfig
from datamodules.fake2m.origin import GENERATED, Origin, slug
from datamodules.fake2m.shard_job import (
    NewSample,
    ShardInput,
    ShardJob,
    SkippedSample,
    run_shard_job,
)
from engine.devices import Process
from engine.files import read_text
from engine.job import JobOptions, Report
from engine.manifest import fingerprint
from images.io import encode_as, to_rgb

PRECISIONS = {"32-true": "32", "bf16-true": "bf16", "16-true": "16"}
"""Supported precisions, and their names in the job's settings."""


class Synthesis(ShardJob):
    """Job that writes shards of images generated from captions.

    Args:
        config: Settings of the images.
        captions: Captions, one for each image.
        output: Folder of the shards.
    """

    command = "datamodules synthesize"

    def __init__(self, config: SynthesisConfig, captions: Sequence[str], output: Path) -> None:
        origin = Origin(
            config.split,
            slug(config.name),
            GENERATED,
            generator=config.model,
            family=config.family,
            sampler=config.scheduler or "its own",
            steps=config.steps,
        )
        super().__init__(origin, output)
        self.config = config
        self.captions = captions

    def open_models(self, process: Process) -> None:
        folder = model_folder(self.config.model, "model_index.json", patterns=PIPELINE_FILES)
        with explaining_load_errors(folder):
            pipeline: Any = DiffusionPipeline.from_pretrained(
                folder, dtype=process.dtype, **absent_parts(folder)
            )
        # a safety checker would replace some images by black ones
        if "safety_checker" in pipeline.components:
            pipeline.register_modules(safety_checker=None)
        if self.config.scheduler is not None:
            scheduler = getattr(diffusers, self.config.scheduler)
            pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline: Any = pipeline.to(process.device)

    def make(self, shard: ShardInput) -> Iterator[NewSample | SkippedSample]:
        config = self.config
        first = shard.number * config.per_shard
        end = min((shard.number + 1) * config.per_shard, len(self.captions))
        for start in range(first, end, config.batch_size):
            self.report_step(start - first, end - first)
            numbers = range(start, min(start + config.batch_size, end))
            for number, image in zip(numbers, self._generate(numbers), strict=True):
                pixels = to_rgb(image)
                facts = {
                    "caption": self.captions[number],
                    "guidance": config.guidance,
                    "seed": config.seed + number,
                }
                content = encode_as(pixels, config.codec, config.quality)
                yield NewSample(f"{number:09d}", config.codec, content, facts)

    def _generate(self, numbers: range) -> torch.Tensor:
        """Generate the images of numbered captions, (B, 3, H, W) in [0, 1]."""
        config = self.config
        size = {} if config.size is None else {"height": config.size, "width": config.size}
        # "np" is in [0, 1] for every pipeline; not all of them support "pt"
        output = self.pipeline(
            [self.captions[number] for number in numbers],
            num_inference_steps=config.steps,
            guidance_scale=config.guidance,
            generator=[torch.Generator().manual_seed(config.seed + number) for number in numbers],
            output_type="np",
            **size,
        )
        return torch.from_numpy(output.images).permute(0, 3, 1, 2).float()


def synthesize(
    captions: Sequence[str],
    output: Path,
    config: SynthesisConfig,
    options: JobOptions | None = None,
) -> tuple[dict[str, Any], Report] | None:
    """Write shards with one generated image for each caption.

    A stopped job is continued.

    Args:
        captions: Captions to generate images from.
        output: Folder of the shards.
        config: Settings of the images.
        options: Devices of the job. Shards are split over processes; they do not depend on the
            number of processes.

    Returns:
        The subset's index and the job's report; None on every process but the first.

    Raises:
        FileNotFoundError: If the pipeline is missing.
        ValueError: If there are no captions, the scheduler or precision is unknown, or the folder
            holds the subset with other settings.
    """
    options = options or JobOptions()
    if not captions:
        msg = "there are no captions to draw from"
        raise ValueError(msg)
    if config.scheduler is not None and not hasattr(diffusers, config.scheduler):
        msg = f"diffusers has no scheduler '{config.scheduler}'; one is DPMSolverMultistepScheduler"
        raise ValueError(msg)
    folder = model_folder(config.model, "model_index.json", patterns=PIPELINE_FILES)
    weights = fingerprint(config.model, folder)
    precision = PRECISIONS.get(options.devices.precision)
    if precision is None:
        msg = (
            f"precision '{options.devices.precision}': "
            "images are generated with 32-true, bf16-true or 16-true"
        )
        raise ValueError(msg)
    digest = hashlib.sha256("\n".join(captions).encode()).hexdigest()
    settings = asdict(config) | {
        "captions": {"count": len(captions), "sha256": digest},
        "weights": weights,
        "precision": precision,
    }
    shards = -(-len(captions) // config.per_shard)
    job = Synthesis(config, captions, output)
    return run_shard_job(job, [None] * shards, settings, options)


def read_captions(file: Path) -> list[str]:
    """Read a text file with one caption a line.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    lines = [line.strip() for line in read_text(file).split("\n")]
    return [line for line in lines if line]

"""The ``pairs`` job: images and their gradient-attacked versions, for the regression term of RID's training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checkpoints.folders import pipeline_folder
from engine.devices import Process
from engine.files import write_bytes, write_text
from engine.job import Batch, Job, JobOptions, Report, run_job
from engine.manifest import fingerprint
from images.inputs import ImageInput, find_images
from images.io import Photo, clamp_to_budget, encode_photo, open_photo, to_uint8
from images.job import count_pixels
from images.outputs import output_names
from images.overlap import refuse_overlap
from images.shard_writer import ShardWriter
from images.transforms.geometry import center_crop_photo
from rid.ensemble import DiffusionEnsemble
from rid.pairs.aspl import Surrogate
from rid.pairs.config import PairConfig
from rid.pairs.objectives import Denoising, RoundTrip, Targeted
from rid.pairs.pgd import Objective, pgd

KINDS = ("source", "attacked")


@dataclass(frozen=True)
class PairInput:
    """An image to attack; those of one batch are a group where a shard is written for each batch."""

    image: ImageInput
    group: str

    @property
    def name(self) -> str:
        return self.image.name

    @property
    def size(self) -> int:
        return self.image.size

    @property
    def mtime_ns(self) -> int:
        return self.image.mtime_ns

    def digest(self) -> str:
        return self.image.digest()


class PairJob(Job[PairInput, Tensor, tuple[Tensor, Tensor], dict[str, bytes]]):
    """Gradient ascent on batches of images.

    Every batch has a seed of its own, so that results do not depend on the process that computes them.

    Args:
        config: How pairs are made.
        objectives: What is raised.
        output: Folder of the pairs.
        names: Name of each image's files.
    """

    command = "rid pairs"

    def __init__(self, config: PairConfig, objectives: list[Objective], output: Path, names: dict[str, str]) -> None:
        self.config, self.objectives, self.output, self.names = config, objectives, output, names
        self.shard: ShardWriter | None = None

    def setup(self, process: Process) -> None:
        self.device = process.device

    def weigh(self, source: PairInput) -> int:
        return 4 * count_pixels(source.image)

    def holds(self, source: PairInput) -> int:
        return 0  # a square of a fixed side, and a batch that must stay whole

    def prepare(self, source: PairInput) -> Tensor:
        return center_crop_photo(source.image.open(), self.config.side).tensor()

    def step(self, batch: Batch[PairInput, Tensor]) -> list[tuple[Tensor, Tensor]]:
        images = torch.stack(batch.prepared).to(self.device)
        source = torch.Generator().manual_seed(self.config.seed * 1_000_003 + batch.number)
        steps = self.config.ascent.steps * self.config.ascent.rounds * len(self.objectives)
        done = iter(range(1, steps + 1))
        attacked = pgd(
            images.clone(), self.objectives, self.config.budget, self.config.ascent, source, lambda: self.tick(next(done), steps)
        )
        return list(zip(to_uint8(images).cpu(), clamp_to_budget(attacked, images, self.config.budget).cpu(), strict=True))

    def finish(self, prepared: Tensor, result: tuple[Tensor, Tensor]) -> dict[str, bytes]:
        levels = dict(zip(KINDS, result, strict=True))
        return {kind: encode_photo(Photo(image.permute(1, 2, 0).contiguous().numpy())) for kind, image in levels.items()}

    def write(self, source: PairInput, finished: dict[str, bytes]) -> dict[str, Any]:
        name = self.names[source.name]
        for kind, content in finished.items():
            if self.shard is None:
                write_bytes(self.output / kind / name, content)
            else:
                self.shard.add(f"{name.removesuffix('.png').replace('.', '_')}.{kind}.png", content)
        return {"name": name}

    def exists(self, source: PairInput, row: dict[str, Any]) -> bool:
        if source.group:
            return (self.output / source.group).is_file()
        return all((self.output / kind / self.names[source.name]).is_file() for kind in KINDS)

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        """Pairs that are there already: an earlier version kept no journal."""
        if self.config.shards:
            return {}
        whole = {name: all((record / kind / file).is_file() for kind in KINDS) for name, file in self.names.items()}
        return {name: {"name": file} for name, file in self.names.items() if whole[name]}

    def begin_group(self, group: str) -> None:
        self.shard = ShardWriter(self.output / group)

    def end_group(self, group: str) -> None:
        if self.shard is not None:
            self.shard.close()
            self.shard = None

    def blocks(self, inputs: Sequence[PairInput], batch_size: int) -> list[list[int]]:
        return batches(inputs, self.config)


def batches(inputs: Sequence[Any], config: PairConfig) -> list[list[int]]:
    """Places of the images that are attacked together: consecutive ones, or those of one folder."""
    if config.by_folder:
        folders: dict[str, list[int]] = {}
        for place, source in enumerate(inputs):
            folders.setdefault(str(Path(source.name).parent), []).append(place)
        return list(folders.values())
    return [list(range(first, min(first + config.batch_size, len(inputs)))) for first in range(0, len(inputs), config.batch_size)]


def build_objectives(config: PairConfig, dtype: torch.dtype = torch.float32) -> list[Objective]:
    """What the ascent raises: one objective per model to be climbed in turn, or one for all."""
    parts = [[name] for name in config.models] if config.in_turn else [config.models]
    if config.method == "denoising":
        return [Denoising(DiffusionEnsemble(part, config.prompt, dtype), config.draws, config.span) for part in parts]
    if config.method == "targeted":
        target = center_crop_photo(open_photo(Path(config.target or "")), config.side).tensor()
        return [Targeted(DiffusionEnsemble(part, config.prompt, dtype), target) for part in parts]
    if config.method == "encoder":
        return [RoundTrip(part) for part in parts]
    return [Surrogate(name, config.surrogate) for name in config.models]


def make_pairs(inputs: Sequence[Path], output: Path, config: PairConfig, options: JobOptions | None = None) -> Report | None:
    """Attack every image and write pairs; goes on with a stopped run.

    Args:
        inputs: Folders, image files, shards (.tar) and lists (.txt).
        output: Folder of the pairs: ``source/``, ``attacked/`` and ``pairs.json``, or ``pairs-NNNNNN.tar``.
        config: How pairs are made.
        options: How the job runs; with the precision bf16-mixed, frozen UNets are held in bfloat16.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If images or models are missing.
        ValueError: If the folder is an input or holds another job or other files.
    """
    options = options or JobOptions()
    found = find_images(inputs)
    names = output_names(found.images, "png")
    refuse_overlap(output, inputs, found.images, [output / kind / name for kind in KINDS for name in names.values()])
    lower = options.devices.precision == "bf16-mixed"
    if not lower and options.devices.precision != "32-true":
        msg = f"precision '{options.devices.precision}': pairs are made with 32-true or bf16-mixed"
        raise ValueError(msg)
    weights = [fingerprint(name, Path(pipeline_folder(name))) for name in config.models]
    settings = asdict(config) | {"weights": weights, "precision": "bf16" if lower else "32"}
    groups = [""] * len(found.images)
    if config.shards:
        for number, places in enumerate(batches(found.images, config)):
            for place in places:
                groups[place] = f"pairs-{number:06d}.tar"
    sources = [PairInput(image, group) for image, group in zip(found.images, groups, strict=True)]
    job = PairJob(config, build_objectives(config, torch.bfloat16 if lower else torch.float32), output, names)
    report = run_job(job, sources, output, settings, options, found.skipped, found.failed)
    if report is not None and not config.shards:
        rows = [{f"{kind}_path": f"{kind}/{row['name']}" for kind in KINDS} for _, row in report.rows]
        write_text(output / "pairs.json", json.dumps(rows, indent=1) + "\n")
    return report

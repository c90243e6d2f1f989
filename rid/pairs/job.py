"""``python -m rid pairs``: pictures and their gradient-attacked versions, for the regression term of RID's training."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

import torch
from lightning import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from checkpoints.folders import pipeline_folder
from engine.cli import parser
from engine.files import write_bytes, write_text
from engine.jobs import job_trainer
from engine.manifest import claim, fingerprint, write_manifest
from images.archives import ShardWriter, index_tar
from images.inputs import ImageInput, find_images, guard, inputs_digest
from images.io import Photo, UnreadableImage, encode_photo, levels_within, open_photo, to_levels
from images.outputs import output_names
from images.transforms.geometry import center_crop_photo
from rid.ensemble import DiffusionEnsemble
from rid.pairs.aspl import Surrogate, SurrogateConfig
from rid.pairs.objectives import Denoising, RoundTrip, Targeted
from rid.pairs.pgd import Objective, PGDConfig, pgd
from rid.protect.protector import DTYPES

Method = Literal["denoising", "surrogate", "encoder", "targeted"]
"""``denoising``: frozen models; ``surrogate``: models that learn the pictures (ASPL, FSMG); ``encoder``: the autoencoders alone;
``targeted``: denoising, drawn towards a target picture."""


class PairBatch(TypedDict):
    """Pictures attacked together: their names, (B, 3, S, S) in [0, 1], and the batch's number."""

    names: list[str]
    images: Tensor
    number: int


class PictureBatches(Dataset[PairBatch]):
    """Photos, cropped to squares, in batches: consecutive ones, or one batch per folder. No picture is left out but unreadable ones."""

    def __init__(self, files: Sequence[ImageInput], names: dict[str, str], side: int, batch_size: int, by_folder: bool) -> None:
        self.side, self.names = side, names
        self.batches = [part for group in _groups(files, by_folder) for part in _parts(group, len(group) if by_folder else batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> PairBatch:
        names, images = [], []
        for file in self.batches[number]:
            try:
                images.append(center_crop_photo(file.open(), self.side).tensor())
                names.append(self.names[file.name])
            except UnreadableImage as error:
                print(f"error: {error}", file=sys.stderr)
        stacked = torch.stack(images) if images else torch.zeros(0, 3, self.side, self.side)
        return PairBatch(names=names, images=stacked, number=number)


class PairTask(LightningModule):
    """The ascent as a ``predict`` job, one batch a step; batches whose pairs are on disk are passed over.

    Args:
        objectives: What to raise.
        budget: Bound in grey levels.
        config: The ascent.
        output: Folder of the pairs.
        seed: Every batch has a seed of its own derived from it, so that results do not depend on who computes them.
        shards: Write a WebDataset shard per batch instead of files.
        lower: Compute in bfloat16 where that is safe (autocast).
    """

    def __init__(
        self, objectives: list[Objective], budget: float, config: PGDConfig, output: Path, seed: int, shards: bool, lower: bool
    ) -> None:
        super().__init__()
        self.objectives, self.budget, self.config = objectives, budget, config
        self.output, self.seed, self.shards, self.lower = output, seed, shards, lower

    def predict_step(self, batch: PairBatch, _: int) -> None:
        if not batch["names"] or all(path.is_file() for path in self._targets(batch)):
            return
        images, source = batch["images"], torch.Generator().manual_seed(self.seed * 1_000_003 + batch["number"])
        total = self.config.steps * self.config.rounds * len(self.objectives)
        with (
            torch.inference_mode(False),
            torch.autocast(images.device.type, torch.bfloat16, enabled=self.lower),
            tqdm(total=total, desc=f"batch {batch['number']}", disable=None, leave=False) as bar,
        ):
            attacked = pgd(images.clone(), self.objectives, self.budget, self.config, source, bar.update)
        levels = {"source": to_levels(images), "attacked": levels_within(attacked, images, self.budget)}
        shard = ShardWriter(self._targets(batch)[0]) if self.shards else None
        for index, name in enumerate(batch["names"]):
            for kind, pictures in levels.items():
                content = encode_photo(Photo(pictures[index].permute(1, 2, 0).numpy()))
                if shard is None:
                    write_bytes(self.output / kind / name, content)
                else:
                    shard.add(f"{name.removesuffix('.png').replace('.', '_')}.{kind}.png", content)
        if shard is not None:
            shard.close()

    def _targets(self, batch: PairBatch) -> list[Path]:
        if self.shards:
            return [self.output / f"pairs-{batch['number']:06d}.tar"]
        return [self.output / kind / name for name in batch["names"] for kind in ("source", "attacked")]


class PairData(LightningDataModule):
    """Batches to be attacked, one a step."""

    def __init__(self, batches: PictureBatches) -> None:
        super().__init__()
        self.batches = batches

    def predict_dataloader(self) -> DataLoader[PairBatch]:
        return DataLoader(self.batches, batch_size=None)


@dataclass(frozen=True)
class PairConfig:
    """How pairs are made; the defaults are those RID's own pairs were made with.

    Attributes:
        models: Pipeline folders or Hub ids.
        budget: Bound in grey levels of 255.
        side: Pictures are resized and centre-cropped to this side, as in RID's programs.
        method: What to raise: denoising, surrogate, encoder or targeted.
        ascent: Steps, rounds, momentum.
        in_turn: Climb the models one after another in each round and average the pictures, as the published ensembles do;
            otherwise every step climbs their mean.
        prompt: What the models are told, in the methods denoising and targeted.
        span: Share of the timesteps drawn from, in the method denoising.
        draws: Timesteps and noises averaged for a gradient, in the method denoising.
        surrogate: The imagined attacker's training, in the method surrogate.
        target: Picture to draw towards, in the method targeted.
        batch_size: Pictures attacked together.
        by_folder: One batch per folder of pictures, as the surrogates of one person need.
        shards: Write a WebDataset shard per batch instead of PNG files and a list.
        precision: 32, or bf16: the frozen UNets' weights, and autocast.
        seed: Of all draws.
    """

    models: list[str]
    budget: float = 6.0
    side: int = 512
    method: Method = "denoising"
    ascent: PGDConfig = PGDConfig(steps=9, rounds=50)
    in_turn: bool = True
    prompt: str = "a photo of sks person"
    span: tuple[float, float] = (0.0, 1.0)
    draws: int = 1
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    target: str | None = None
    batch_size: int = 8
    by_folder: bool = False
    shards: bool = False
    precision: Literal["32", "bf16"] = "32"
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.target is not None) != (self.method == "targeted"):
            msg = "give target with the method targeted, and only there"
            raise ValueError(msg)
        if not self.models or self.batch_size < 1 or self.draws < 1 or not 0 <= self.span[0] < self.span[1] <= 1:
            msg = "models must not be empty, batch_size and draws at least 1, and span two shares from 0 to 1, the lower first"
            raise ValueError(msg)


def build_objectives(config: PairConfig) -> list[Objective]:
    """What the ascent raises: one objective per model to be climbed in turn, or one for all."""
    parts = [[name] for name in config.models] if config.in_turn else [config.models]
    dtype = DTYPES[config.precision]
    if config.method == "denoising":
        return [Denoising(DiffusionEnsemble(part, config.prompt, dtype), config.draws, config.span) for part in parts]
    if config.method == "targeted":
        target = center_crop_photo(open_photo(Path(config.target or "")), config.side).tensor()
        return [Targeted(DiffusionEnsemble(part, config.prompt, dtype), target) for part in parts]
    if config.method == "encoder":
        return [RoundTrip(part) for part in parts]
    return [Surrogate(name, config.surrogate) for name in config.models]


def make_pairs(photos: Sequence[Path], output: Path, config: PairConfig, accelerator: str = "auto", devices: int = 1) -> int | None:
    """Attack every picture and write pairs; those that are there already are not made again.

    Args:
        photos: Folders, picture files, shards (.tar) and lists (.txt).
        output: Folder of the pairs: ``source/``, ``attacked/`` and ``pairs.json``, or ``pairs-NNNNNN.tar``.
        config: How.
        accelerator: Lightning's: auto, cpu or gpu.
        devices: Processes; batches are shared out among them.

    Returns:
        How many pictures have no pair because they could not be read; None on every process but the first.

    Raises:
        FileNotFoundError: If pictures or models are missing.
        ValueError: If the folder holds a job with other settings.
    """
    found = find_images(photos)
    files, names = found.images, output_names(found.images, "png")
    weights = [fingerprint(name, Path(pipeline_folder(name))) for name in config.models]
    guard(output, photos, files, [output / kind / name for name in names.values() for kind in ("source", "attacked")])
    settings = asdict(config) | {"weights": weights} | ({"inputs": inputs_digest(files)} if config.shards else {})
    claim(output, "rid pairs", settings)
    batches = PictureBatches(files, names, config.side, config.batch_size, config.by_folder)
    trainer = job_trainer(accelerator, min(devices, len(batches)), enable_progress_bar=False)  # every batch has a bar of its own
    task = PairTask(build_objectives(config), config.budget, config.ascent, output, config.seed, config.shards, config.precision == "bf16")
    trainer.predict(task, PairData(batches), return_predictions=False)
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        return None
    if config.shards:
        done = sum(len(index_tar(path)) // 2 for path in sorted(output.glob("pairs-*.tar")))
    else:
        pairs = [{"source_path": f"source/{name}", "attacked_path": f"attacked/{name}"} for name in names.values()]
        pairs = [pair for pair in pairs if all((output / path).is_file() for path in pair.values())]
        write_text(output / "pairs.json", json.dumps(pairs, indent=1) + "\n")
        done = len(pairs)
    counts = {"pictures": len(files) + len(found.failed), "pairs": done}
    write_manifest(output, command="rid pairs", finished=True, settings=settings, counts=counts)
    for error in found.failed.values():
        print(f"error: {error}", file=sys.stderr)
    return len(files) + len(found.failed) - done


def _groups(files: Sequence[ImageInput], by_folder: bool) -> list[list[ImageInput]]:
    if not by_folder:
        return [list(files)]
    folders: dict[str, list[ImageInput]] = {}
    for file in files:
        folders.setdefault(str(Path(file.name).parent), []).append(file)
    return list(folders.values())


def _parts(files: list[ImageInput], size: int) -> Iterator[list[ImageInput]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]


def main(arguments: list[str]) -> int:
    """The ``pairs`` verb; 0 only if every picture has its pair."""
    made = parser("python -m rid pairs", "Gradient-attacked versions of pictures, as training pairs. A stopped job goes on where it was.")
    made.add_argument("photos", type=Path, nargs="+", help="folders, pictures, WebDataset shards (.tar), or text files that list pictures")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the pairs")
    made.add_argument("--accelerator", type=str, default="auto", help="auto, cpu or gpu")
    made.add_argument("--devices", type=int, default=1, help="processes; batches are shared out among them")
    made.add_class_arguments(PairConfig, as_group=False)
    settings = made.instantiate_classes(made.parse_args(arguments))
    config = PairConfig(**{name: getattr(settings, name) for name in PairConfig.__dataclass_fields__})
    missing = make_pairs(settings.photos, settings.output, config, settings.accelerator, settings.devices)
    if missing is None:
        return 0
    print(f"pairs in {settings.output}" + (f"; {missing} pictures could not be read" if missing else ""))
    return 1 if missing else 0

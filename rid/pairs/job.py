"""The ``pairs`` job: gradient-attacked versions of images.

The pairs are targets of the regression term of RID's training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from engine.devices import Process
from engine.files import write_bytes, write_text
from engine.job import Batch, Job, JobOptions, Report
from engine.run_job import run_job
from images.inputs import ImageInput, find_images
from images.io import clamp_to_budget, encode_photo, to_rgb, to_uint8
from images.job import count_pixels
from images.outputs import FormerNames, output_names
from images.overlap import refuse_overlap
from images.photo import Photo
from images.shard_writer import ShardWriter
from images.transforms.geometry import center_crop_photo
from rid.edits import list_objectives, record
from rid.pairs.config import PairConfig
from rid.pairs.objective import Objective
from rid.pairs.pgd import pgd
from rid.pairs.references import find_references, reference_digest
from rid.pairs.renamed import PAIRS_RENAMED

KINDS = ("source", "attacked")
"""Folders of a pair's two images; their names in ``pairs.json`` and shards begin likewise."""

PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True)
class PairInput:
    """An image to attack.

    Attributes:
        image: The image.
        group: Name of the shard of its batch; empty if pairs are written as PNG files.
    """

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
    """Batch job that runs PGD on images.

    Each batch has its own seed, so results do not depend on the process that computes them.

    Args:
        config: Settings of the attack.
        objectives: Objectives of the ascent.
        output: Folder of the pairs.
        names: File name of each input's pair, by the input's name.
        references: Reference images of each folder of inputs.
    """

    command = "rid pairs"
    renamed = PAIRS_RENAMED
    implied = MappingProxyType({"edits": []})

    def __init__(
        self,
        config: PairConfig,
        objectives: list[Objective],
        output: Path,
        names: dict[str, str],
        references: Mapping[str, Sequence[ImageInput]] = MappingProxyType({}),
    ) -> None:
        self.references = references
        self.config = config
        self.objectives = objectives
        self.output = output
        self.names = names
        self.former = FormerNames(names)
        self.shard: ShardWriter | None = None

    def setup(self, process: Process) -> None:
        self.device = process.device

    def input_bytes(self, source: PairInput) -> int:
        return 4 * count_pixels(source.image)

    def prepared_bytes(self, source: PairInput) -> int:
        return 0  # images have a fixed side, and a batch must not be split

    def prepare(self, source: PairInput) -> Tensor:
        return center_crop_photo(source.image.open(), self.config.side).tensor()

    def step(self, batch: Batch[PairInput, Tensor]) -> list[tuple[Tensor, Tensor]]:
        budget = self.config.budget
        config = self.config.pgd
        images = torch.stack(batch.prepared).to(self.device)
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + batch.number)
        # progress: one tick per gradient step
        steps = config.steps * config.outer_steps * len(self.objectives)
        counter = iter(range(1, steps + 1))
        attacked = pgd(
            images.clone(),
            self.objectives,
            budget,
            config,
            generator,
            on_step=lambda: self.report_step(next(counter), steps),
            reference=self._reference(batch.inputs[0]),
        )
        # rounding to 8 bits, within the budget
        clean_u8 = to_uint8(images).cpu()
        attacked_u8 = clamp_to_budget(attacked, images, budget).cpu()
        return list(zip(clean_u8, attacked_u8, strict=True))

    def _reference(self, source: PairInput) -> Tensor | None:
        """Load the reference images of an input's person; None without a reference folder."""
        if self.config.reference is None:
            return None
        images = self.references[str(Path(source.name).parent)]
        side = self.config.side
        loaded = [center_crop_photo(image.open(), side).tensor() for image in images]
        return torch.stack(loaded).to(self.device)

    def finish(self, prepared: Tensor, result: tuple[Tensor, Tensor]) -> dict[str, bytes]:
        encoded = {}
        for kind, image in zip(KINDS, result, strict=True):
            encoded[kind] = encode_photo(Photo(to_rgb(image)))
        return encoded

    def write(self, source: PairInput, finished: dict[str, bytes]) -> dict[str, Any]:
        name = self.names[source.name]
        for kind, content in finished.items():
            if self.shard is None:
                write_bytes(self.output / kind / name, content)
            else:
                key = name.removesuffix(".png").replace(".", "_")
                self.shard.add(f"{key}.{kind}.png", content)
        if former := self.former.take(source.name):
            for kind in KINDS:
                (self.output / kind / former).unlink(missing_ok=True)
        return {"name": name}

    def exists(self, source: PairInput, row: dict[str, Any]) -> bool:
        if source.group:
            return (self.output / source.group).is_file()
        self.former.note(source.name, str(row.get("name") or ""))
        return pair_exists(self.output, self.names[source.name])

    def earlier_rows(self, record: Path) -> dict[str, dict[str, Any]]:
        """List the pairs of an earlier version, which kept no journal."""
        if self.config.shards:
            return {}
        finished = {name: file for name, file in self.names.items() if pair_exists(record, file)}
        return {name: {"name": file} for name, file in finished.items()}

    def begin_group(self, group: str) -> None:
        self.shard = ShardWriter(self.output / group)

    def end_group(self, group: str) -> None:
        if self.shard is not None:
            self.shard.close()
            self.shard = None

    def blocks(self, inputs: Sequence[PairInput], batch_size: int) -> list[list[int]]:
        return batches(inputs, self.config)


def pair_exists(folder: Path, name: str) -> bool:
    """Return True if both images of a pair exist."""
    return all((folder / kind / name).is_file() for kind in KINDS)


def batches(inputs: Sequence[Any], config: PairConfig) -> list[list[int]]:
    """Group the indices of images that are attacked together.

    A batch is consecutive images, or with ``by_folder`` all images of one folder.
    """
    if config.by_folder:
        folders: dict[str, list[int]] = {}
        for index, source in enumerate(inputs):
            folders.setdefault(str(Path(source.name).parent), []).append(index)
        return list(folders.values())
    indices = list(range(len(inputs)))
    starts = range(0, len(inputs), config.batch_size)
    return [indices[start : start + config.batch_size] for start in starts]


def make_pairs(
    inputs: Sequence[Path],
    output: Path,
    config: PairConfig,
    options: JobOptions | None = None,
) -> Report | None:
    """Attack every image and write pairs; a stopped run resumes.

    Args:
        inputs: Folders, image files, shards (.tar) and lists (.txt).
        output: Folder of the pairs: ``source/``, ``attacked/`` and ``pairs.json``, or
            ``pairs-NNNNNN.tar``.
        config: Settings of the attack.
        options: Devices and precision; bf16-mixed holds frozen UNets in bfloat16.

    Returns:
        The report of the job; None on every process but the first.

    Raises:
        FileNotFoundError: If images or models are missing.
        ValueError: If the output folder is an input, or holds another job or other files; or if the
            precision is not one of :data:`PRECISIONS`.
    """
    options = options or JobOptions()
    # inputs and the files of their pairs
    found = find_images(inputs)
    names = output_names(found.images, "png")
    targets = []
    for kind in KINDS:
        targets += [output / kind / name for name in names.values()]
    refuse_overlap(output, inputs, found.images, targets)
    # settings that the results depend on
    precision = options.devices.precision
    if precision not in PRECISIONS:
        allowed = " or ".join(PRECISIONS)
        msg = f"precision '{precision}' is not supported by rid pairs; use {allowed}"
        raise ValueError(msg)
    use_bf16 = precision == "bf16-mixed"
    settings = settings_of(config) | {"precision": "bf16" if use_bf16 else "32"}
    references = find_references(config, found.images)
    if references:
        settings["reference"] = reference_digest(references)
    # one group of inputs per shard
    groups = [""] * len(found.images)
    if config.shards:
        for number, indices in enumerate(batches(found.images, config)):
            for index in indices:
                groups[index] = f"pairs-{number:06d}.tar"
    sources = [PairInput(image, group) for image, group in zip(found.images, groups, strict=True)]
    # the job, and the list of pairs that training reads
    config.objective.dtype = torch.bfloat16 if use_bf16 else torch.float32
    objectives = list_objectives(config.objective, config.edits, config.alternate_models)
    job = PairJob(config, objectives, output, names, references)
    report = run_job(job, sources, output, settings, options, found.skipped, found.failed)
    if report is not None and not config.shards:
        pairs = [list_entry(row["name"]) for _, row in report.rows]
        write_text(output / "pairs.json", json.dumps(pairs, indent=1) + "\n")
    return report


def settings_of(config: PairConfig) -> dict[str, Any]:
    """Settings that the results depend on, and the models' fingerprints, for the manifest.

    Those of the objective stand among the others.
    """
    plain = {field.name: getattr(config, field.name) for field in fields(config)}
    return (
        plain
        | {"pgd": asdict(config.pgd), "edits": record(config.edits)}
        | config.objective.settings()
        | {"objective": config.objective.name, "weights": config.objective.weights()}
    )


def list_entry(name: str) -> dict[str, str]:
    """Build a pair's entry of ``pairs.json``."""
    return {f"{kind}_path": f"{kind}/{name}" for kind in KINDS}

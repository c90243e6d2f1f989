"""``python -m eval remover``: trains a network that undoes a protection."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from datamodules.identities import as_people
from datamodules.order import LateLoader
from engine.files import locked, write_text
from engine.manifest import check_same, claim, read_manifest, write_manifest
from engine.records import read_json, to_json
from eval.arms import Arm
from eval.attacks.purification.remover import build_remover, remove
from eval.metrics.quality import quantize
from eval.studies.people import describe_people, refuse_inputs
from eval.studies.protection_job import PersonInput
from eval.studies.remover_pairs import make_pairs

COMMAND = "eval remover"

UNFINISHED = "unfinished"
"""Folder of the pairs and of the checkpoint, in the output folder of an unfinished training."""

SAVED_EVERY = 100
"""Steps between two checkpoints."""

HELD_OUT = 0.1
"""Share of the pairs that measure the result and are not trained on."""


@dataclass(frozen=True)
class RemoverTraining:
    """Settings of a remover's training.

    Attributes:
        steps: Optimizer steps.
        batch_size: Crops of each step.
        crop: Side of the crops in pixels; smaller images are used whole.
        lr: Learning rate of Adam.
        widths: Channels of each level of the U-Net, multiples of 8.
        seed: Seed of the protection, the first weights, and the crops.

    Raises:
        ValueError: If a count is below 1, or the learning rate not above 0.
    """

    steps: int = 2000
    batch_size: int = 16
    crop: int = 128
    lr: float = 1e-3
    widths: tuple[int, ...] = (32, 64, 128)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.crop) < 1 or self.lr <= 0:
            msg = (
                "steps, batch_size and crop must be at least 1, and lr above 0, got "
                f"{self.steps}, {self.batch_size}, {self.crop} and {self.lr}"
            )
            raise ValueError(msg)


def train_remover(
    people: Dataset,  # type: ignore[type-arg]
    arm: Arm,
    output: Path,
    training: RemoverTraining = RemoverTraining(),
    accelerator: str = "auto",
) -> dict[str, float]:
    """Protect people's images, and train a network to undo it.

    The folder then is the ``model`` of :class:`eval.attacks.purification.LearnedRemover`. A
    finished training is not repeated, and a stopped one goes on; with other images under the same
    names it starts again.

    Args:
        people: Data set of persons (see datamodules.identities) who are not attacked later.
        arm: The protection that the attacker has: a class of :mod:`eval.arms`.
        output: Folder of the network.
        training: Settings of the training.
        accelerator: Kind of device, as of Lightning.

    Returns:
        Mean absolute change of held-out images in gray levels: ``before`` of the protected ones,
        ``after`` of the corrected ones.

    Raises:
        ValueError: If there are fewer than two images, or the folder holds other results or
            overlaps with the images.
        FileNotFoundError: If a model is missing.
    """
    persons = as_people(people)
    refuse_inputs(output, persons, [arm])
    settings = {
        "people": describe_people(persons),
        "arm": arm.record(),
        "training": asdict(training),
    }
    hashes = [PersonInput.of(persons, i, persons[i]).sha256 for i in range(len(persons))]
    earlier = read_manifest(output)
    if earlier is not None and earlier.get("finished"):
        check_same(output, earlier, COMMAND, settings)
        # Folders of earlier versions do not have hashes.
        if earlier.get("people_sha256", hashes) == hashes:
            return dict(earlier["levels"])

    claim(output, COMMAND, settings)
    with locked(output):
        seed_everything(training.seed, verbose=False)
        unfinished = output / UNFINISHED
        _begin_again_with_others(unfinished, hashes)
        trainer = Trainer(
            max_steps=training.steps,
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_model_summary=False,
            callbacks=[ModelCheckpoint(unfinished, "resume", every_n_train_steps=SAVED_EVERY)],
        )
        device = trainer.strategy.root_device
        protected, clean, same = make_pairs(
            persons, arm.to(device), training.seed, device, unfinished
        )
        arm.to("cpu")
        kept = max(1, round(HELD_OUT * len(clean)))
        module = RemoverModule(training)
        crops = Crops(protected[kept:], clean[kept:], training)
        resume = unfinished / "resume.ckpt"
        if not same:  # a checkpoint is of other pairs
            resume.unlink(missing_ok=True)
        trainer.fit(
            module,
            LateLoader(crops, batch_size=training.batch_size, sampler=Onward(crops, trainer)),
            ckpt_path=resume if resume.is_file() else None,
            weights_only=True,
        )

        network = module.network.cpu().eval()
        with torch.no_grad():
            corrected = torch.cat([remove(network, one) for one in protected[:kept].split(1)])
        levels = {
            "before": _levels(protected[:kept], clean[:kept]),
            "after": _levels(quantize(corrected.clamp(0, 1)), clean[:kept]),
        }
        network.save_pretrained(output)
        counts = {"trained": len(clean) - kept, "held out": kept}
        write_manifest(
            output,
            command=COMMAND,
            finished=True,
            settings=settings,
            people_sha256=hashes,
            levels=levels,
            counts=counts,
        )
        shutil.rmtree(unfinished)
    return levels


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops of pairs, mirrored at random; item by item the same in every run.

    Args:
        protected: (n, 3, S, S) in [0, 1].
        clean: The same images unprotected.
        training: Settings of the training.
    """

    def __init__(self, protected: Tensor, clean: Tensor, training: RemoverTraining) -> None:
        self.pairs = torch.stack([protected, clean], dim=1)
        self.training = training

    def __len__(self) -> int:
        return self.training.steps * self.training.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        source = torch.Generator().manual_seed(self.training.seed * 1_000_003 + index)
        height, width = self.pairs.shape[-2:]
        tall, wide = min(height, self.training.crop), min(width, self.training.crop)
        limits = (len(self.pairs), height - tall + 1, width - wide + 1, 2)
        place, top, left, mirrored = (
            int(torch.randint(limit, (1,), generator=source)) for limit in limits
        )
        pair = self.pairs[place, ..., top : top + tall, left : left + wide]
        if mirrored:
            pair = pair.flip(-1)
        return pair[0], pair[1]


class Onward(Sampler[int]):
    """Numbers of the crops that a resumed training has not seen, in order.

    Args:
        crops: The crops.
        trainer: Trainer that counts the batches.
    """

    def __init__(self, crops: Crops, trainer: Trainer) -> None:
        self.crops = crops
        self.progress = trainer.fit_loop.epoch_loop.batch_progress

    def __len__(self) -> int:
        return len(self.crops)

    def __iter__(self) -> Iterator[int]:
        seen = self.progress.total.ready * self.crops.training.batch_size
        yield from range(seen, len(self.crops))


class RemoverModule(LightningModule):
    """Training of a remover: mean absolute error of the corrected images.

    Args:
        training: Settings of the training.
    """

    def __init__(self, training: RemoverTraining) -> None:
        super().__init__()
        self.training_settings = training
        self.network = build_remover(training.widths)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        del batch_idx
        protected, clean = batch
        return F.l1_loss(remove(self.network, protected), clean)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.training_settings.lr)


def _begin_again_with_others(unfinished: Path, hashes: list[str]) -> None:
    """Delete what a stopped training left if it was one on other images, and record these."""
    record = unfinished / "people.json"
    remedy = "delete it; the training then starts again"
    if record.is_file() and read_json(record, list[str], remedy) != hashes:
        shutil.rmtree(unfinished)
    write_text(record, to_json(hashes))


def _levels(images: Tensor, clean: Tensor) -> float:
    """Mean absolute difference in gray levels of 255."""
    return float((images - clean).abs().mean() * 255)


def summary(levels: dict[str, Any], held_out: int) -> str:
    """Say in one line what the remover does.

    Args:
        levels: Result of :func:`train_remover`.
        held_out: Number of held-out images.
    """
    images = "1 held-out image differs" if held_out == 1 else f"{held_out} held-out images differ"
    return (
        f"{images} from the clean ones by {levels['before']:.2f} gray levels on "
        f"average, and by {levels['after']:.2f} after removal; no interval"
    )

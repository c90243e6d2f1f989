"""Training of real-or-generated detectors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from datamodules.exact import PADDING
from datamodules.fake2m.datamodule import Fake2MDataModule
from detectors import metrics
from detectors.calibration import Calibration
from detectors.detector import Detector
from detectors.feature_shards import check_features
from detectors.networks.frequency import DCTClassifier
from detectors.scores import Scores
from engine.manifest import write_manifest

PREPARE_BATCHES = 20
"""Batches that networks with statistics of their own take them from."""


Rows = list[dict[str, Any]]


class SentryModule(LightningModule):
    """Binary cross-entropy of a detector, 1 being generated.

    Two outputs under a softmax, as the paper has them, are one output under a sigmoid: the difference is the logit.

    Args:
        detector: The detector to train.
        optimizer: Kind of optimiser.
        lr: Peak learning rate.
        weight_decay: Not applied to norms and biases.
        momentum: Of ``sgd``.
        schedule: ``cosine`` to ``lr_min`` over the run, after ``warmup_steps``; ``step``: times ``decay`` every ``patience`` epochs;
            ``plateau``: the same after ``patience`` epochs without 0.1 points more validation accuracy, ending below ``lr_min``.
        lr_min: Where the schedule ends.
        warmup_steps: Linear warm-up.
        patience: See ``schedule``.
        decay: See ``schedule``.
    """

    def __init__(
        self,
        detector: Detector,
        optimizer: Literal["adamw", "adam", "sgd"] = "adamw",
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        schedule: Literal["cosine", "step", "plateau", "constant"] = "cosine",
        lr_min: float = 1e-6,
        warmup_steps: int = 0,
        patience: int = 5,
        decay: float = 0.9,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["detector"])
        self.detector = detector
        self.answers: Rows = []

    def setup(self, stage: str) -> None:
        """Refuse features of another backbone."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, Fake2MDataModule):
            check_features(
                self.detector,
                [*(one.urls for kind in data.sources for one in kind), *data.splits["val"]],
            )

    def on_fit_start(self) -> None:
        """Forget what other weights' answers meant; let a spectrum network take its statistics, unless it has them."""
        self.detector.calibration = Calibration()
        network = self.detector.network
        if (
            isinstance(network, DCTClassifier)
            and not network.prepared
            and self.trainer.ckpt_path is None
        ):
            loader = self.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
            batches = (
                batch["image"].to(self.device)
                for batch, _ in zip(loader, range(PREPARE_BATCHES), strict=False)
            )
            network.prepare(batches)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        logits = self.detector(batch["image"]).float()
        loss = F.binary_cross_entropy_with_logits(logits, batch["label"].float())
        if self.global_step % 50 == 0 and not loss.isfinite():
            msg = f"the loss became {loss.item()} at step {self.global_step}: lower lr"
            raise FloatingPointError(msg)
        right = ((logits > 0) == (batch["label"] == 1)).float().mean()
        self.log_dict({"train/loss": loss, "train/accuracy": right}, prog_bar=True)
        self.log(
            "train/corrupt", batch["corrupt"].float(), reduce_fx="sum", on_step=False, on_epoch=True
        )
        return loss

    def on_validation_epoch_start(self) -> None:
        self.answers = []

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.answers += answers(self.detector, batch)

    def on_validation_epoch_end(self) -> None:
        """Accuracy, AUC and loss over every process's pictures."""
        rows = gathered(self.answers)
        if not rows:
            return
        scores = Scores.of(rows)
        values = {
            "val/accuracy": metrics.accuracy(scores.label, scores.probability, 0.5),
            "val/balanced_accuracy": metrics.balanced_accuracy(
                scores.label, scores.probability, 0.5
            ),
            "val/auc": metrics.auc(scores.label, scores.logit),
            "val/loss": metrics.log_loss(scores.label, scores.probability),
        }
        self.log_dict({name: value for name, value in values.items() if value is not None})

    def on_train_epoch_end(self) -> None:
        """End a run whose rate a plateau has brought below ``lr_min``."""
        if (
            self.hparams["schedule"] == "plateau"
            and self.trainer.optimizers[0].param_groups[0]["lr"] < self.hparams["lr_min"]
        ):
            self.trainer.should_stop = True

    def on_fit_end(self) -> None:
        """Leave the trained detector as a model folder beside the run's logs: the best one where a checkpoint callback watches a metric."""
        folder = self.trainer.log_dir  # every rank must ask: log_dir is a broadcast
        watching = self.trainer.checkpoint_callback
        if (
            isinstance(watching, ModelCheckpoint)
            and watching.monitor
            and Path(watching.best_model_path).is_file()
        ):
            state = torch.load(
                watching.best_model_path, map_location="cpu", weights_only=True, mmap=True
            )
            self.load_state_dict(state["state_dict"])
        if folder and self.trainer.is_global_zero:
            self.detector.save_pretrained(Path(folder) / "detector")
            write_manifest(
                Path(folder) / "detector",
                command="detectors fit",
                seed=torch.initial_seed(),
                steps=self.global_step,
                settings=dict(self.hparams)
                | {"network": self.detector.kind, "options": self.detector.options},
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.hparams
        groups = decay_groups(self.detector, settings["weight_decay"])
        if settings["optimizer"] == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                groups, lr=settings["lr"], momentum=settings["momentum"]
            )
        else:
            kind = torch.optim.AdamW if settings["optimizer"] == "adamw" else torch.optim.Adam
            optimizer = kind(groups, lr=settings["lr"])
        if settings["schedule"] == "constant":
            return optimizer
        if settings["schedule"] == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer,
                "max",
                factor=settings["decay"],
                patience=settings["patience"] - 1,
                threshold=1e-3,
                threshold_mode="abs",
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": "val/accuracy"},
            }
        if settings["schedule"] == "step":
            step = torch.optim.lr_scheduler.StepLR(
                optimizer, settings["patience"], settings["decay"]
            )
            return {"optimizer": optimizer, "lr_scheduler": step}
        total, warmup = self.trainer.estimated_stepping_batches, settings["warmup_steps"]
        if not math.isfinite(total) or total <= warmup:
            msg = f"the schedule needs to know how long the run is, and the run to be longer than warmup_steps: {total} and {warmup} steps"
            raise ValueError(msg)
        floor = settings["lr_min"] / settings["lr"]

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return (
                floor
                + (1 - floor) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def answers(detector: Detector, batch: dict[str, Any]) -> Rows:
    """The records of a batch's images with ``label`` and ``logit``; what only fills the batch up is left out."""
    logits = detector(batch["image"]).double().tolist()
    rows = zip(batch["record"], batch["label"].tolist(), logits, strict=True)
    return [
        record | {"label": label, "logit": logit}
        for record, label, logit in rows
        if label != PADDING
    ]


def gathered(rows: Rows) -> Rows:
    """The rows of all processes, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    every: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(every, json.dumps(rows))
    return [row for text in every for row in json.loads(text)]


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable weights with weight decay, norms and biases without."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    with_decay = [parameter for parameter in trainable if parameter.ndim > 1]
    without = [parameter for parameter in trainable if parameter.ndim <= 1]
    return [
        {"params": with_decay, "weight_decay": weight_decay},
        {"params": without, "weight_decay": 0.0},
    ]

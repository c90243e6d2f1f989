"""Lightning module that trains detectors of generated images."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from datamodules.exact import PADDING
from datamodules.fake2m.datamodule import Fake2MDataModule
from detectors import metrics
from detectors.calibration import Calibration
from detectors.detector import Detector
from detectors.feature_shards import check_features
from detectors.networks.frequency import DCTClassifier
from detectors.optimization import (
    check_for_network,
    make_optimizer,
    parameter_groups,
    supervised_contrastive,
)
from detectors.scores import Scores
from engine.manifest import write_manifest

PREPARE_BATCHES = 20
"""Training batches for the input statistics of a DCT network."""

LOSS_CHECK_EVERY = 50
"""Steps between checks for a finite loss."""

NAMED_DAMAGED = 20
"""Damaged images that training names; ``train/damaged`` counts all."""

log = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


class SentryModule(LightningModule):
    """Training of a detector with binary cross-entropy, 1 being generated.

    The paper's two outputs under a softmax equal one output under a sigmoid: the logit is their
    difference (arXiv 2304.13023).

    Args:
        detector: Detector to train.
        optimizer: ``adamw``, ``adam`` or ``sgd``.
        lr: Peak learning rate.
        weight_decay: Weight decay; norms and biases have none.
        momentum: Momentum of ``sgd``.
        schedule: ``cosine``: to ``lr_min`` over the run, after ``warmup_steps``. ``step``: times
            ``decay`` every ``patience`` epochs. ``plateau``: times ``decay`` after ``patience``
            epochs without 0.1 points more validation accuracy, until below ``lr_min``.
            ``constant``: no schedule.
        lr_min: Last learning rate of ``cosine``; ``plateau`` ends the run below it.
        warmup_steps: Steps of linear warm-up, for ``cosine``.
        patience: Epochs; see ``schedule``.
        decay: Factor of the learning rate; see ``schedule``.
        layer_decay: Factor of the learning rate from each layer to the one below, above 0; 1 for
            none. For ``timm`` networks.
        contrastive: Weight of the supervised contrastive loss, at least 0. For ``intermediate``
            networks.

    Raises:
        ValueError: If ``layer_decay`` or ``contrastive`` is out of range, or not for the network.
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
        layer_decay: float = 1.0,
        contrastive: float = 0.0,
    ) -> None:
        super().__init__()
        check_for_network(detector.network, layer_decay, contrastive)
        self.save_hyperparameters(ignore=["detector"])
        self.detector = detector
        self.seed = 0
        self.rows: Rows = []
        self.damaged: list[str] = []

    def setup(self, stage: str) -> None:
        """Refuse features of another backbone."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, Fake2MDataModule):
            check_features(self.detector, [*data.train_urls, *data.splits["val"]])

    def on_fit_start(self) -> None:
        """Reset the calibration; compute DCT statistics if missing."""
        self.seed = torch.initial_seed()
        self.detector.calibration = Calibration()
        self.detector.domain = None
        network = self.detector.network
        if not isinstance(network, DCTClassifier):
            return
        if not network.prepared and self.trainer.ckpt_path is None:
            loader = self.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
            batches = islice(loader, PREPARE_BATCHES)
            network.prepare(batch["image"].to(self.device) for batch in batches)

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed dropout by the number of batches, so that a resumed run draws what it would have."""
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready
        place = batches * self.trainer.world_size + self.global_rank
        torch.manual_seed((self.seed * 1_000_003 + place) % 2**63)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        logits, loss = self._logits_and_loss(batch)
        if self.global_step % LOSS_CHECK_EVERY == 0 and not loss.isfinite():
            msg = f"the loss became {loss.item()} at step {self.global_step}: lower lr"
            raise FloatingPointError(msg)
        accuracy = ((logits > 0) == (batch["label"] == 1)).float().mean()
        self.log_dict({"train/loss": loss, "train/accuracy": accuracy}, prog_bar=True)
        self._note_damaged(batch["damaged"])
        return loss

    def _note_damaged(self, reasons: list[str]) -> None:
        """Name the damaged images that others were taken for, and log their number."""
        count = float(len(reasons))
        self.log("train/damaged", count, reduce_fx="sum", on_step=False, on_epoch=True)
        for reason in reasons:
            if reason not in self.damaged and len(self.damaged) < NAMED_DAMAGED:
                self.damaged.append(reason)
                log.warning("damaged, another image is taken: %s", reason)

    def _logits_and_loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Compute logits, (B,), and the loss of a batch."""
        labels = batch["label"]
        if not self.hparams["contrastive"]:
            logits = self.detector(batch["image"]).float()
            return logits, F.binary_cross_entropy_with_logits(logits, labels.float())
        network: Any = self.detector.network
        embeddings = network.embed(batch["image"])
        logits = network.classify(embeddings).float()
        loss = F.binary_cross_entropy_with_logits(logits, labels.float())
        apart = supervised_contrastive(embeddings.float(), labels)
        return logits, loss + self.hparams["contrastive"] * apart

    def on_validation_epoch_start(self) -> None:
        self.rows = []

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.rows += score_batch(self.detector, batch)

    def on_validation_epoch_end(self) -> None:
        """Log accuracy, AUC and loss over the images of all processes.

        Raises:
            FloatingPointError: If a logit is not finite.
        """
        rows = gather_rows(self.rows)
        if not rows:
            return
        if not all(math.isfinite(row["logit"]) for row in rows):
            msg = f"the detector's logits are not finite at step {self.global_step}: lower lr"
            raise FloatingPointError(msg)
        scores = Scores.of(rows)
        label = scores.label
        probability = scores.probability
        values = {
            "val/accuracy": metrics.accuracy(label, probability, 0.5),
            "val/balanced_accuracy": metrics.balanced_accuracy(label, probability, 0.5),
            "val/auc": metrics.auc(label, scores.logit),
            "val/loss": metrics.log_loss(label, probability),
        }
        self.log_dict({name: value for name, value in values.items() if value is not None})

    def on_train_epoch_end(self) -> None:
        """Stop a ``plateau`` run whose learning rate is below ``lr_min``."""
        if self.hparams["schedule"] != "plateau":
            return
        groups = self.trainer.optimizers[0].param_groups
        if max(group["lr"] for group in groups) < self.hparams["lr_min"]:
            self.trainer.should_stop = True

    def on_fit_end(self) -> None:
        """Save the detector as a model folder beside the run's logs.

        It has the best weights where a checkpoint callback monitors a metric, otherwise the last.
        """
        folder = self.trainer.log_dir  # every rank must ask: log_dir is a broadcast
        callback = self.trainer.checkpoint_callback
        if isinstance(callback, ModelCheckpoint) and callback.monitor:
            best = callback.best_model_path
            if Path(best).is_file():
                state = torch.load(best, map_location="cpu", weights_only=True, mmap=True)
                self.load_state_dict(state["state_dict"])
        if folder and self.trainer.is_global_zero:
            target = Path(folder) / "detector"
            self.detector.save_pretrained(target)
            network = {"network": self.detector.kind, "options": self.detector.options}
            write_manifest(
                target,
                command="detectors fit",
                seed=self.seed,
                steps=self.global_step,
                settings=dict(self.hparams) | network,
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.hparams
        groups = parameter_groups(self.detector, settings)
        optimizer = make_optimizer(settings, groups)
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
            by_epoch = torch.optim.lr_scheduler.StepLR(
                optimizer, settings["patience"], settings["decay"]
            )
            return {"optimizer": optimizer, "lr_scheduler": by_epoch}
        cosine = torch.optim.lr_scheduler.LambdaLR(optimizer, self._cosine_factor())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def _cosine_factor(self) -> Callable[[int], float]:
        """Return the warm-up and cosine schedule, a factor by step.

        Raises:
            ValueError: If the run's length is unknown, or not above ``warmup_steps``.
        """
        total = self.trainer.estimated_stepping_batches
        warmup = self.hparams["warmup_steps"]
        if not math.isfinite(total) or total <= warmup:
            msg = (
                "the schedule needs to know how long the run is, "
                "and the run to be longer than warmup_steps: "
                f"{total} and {warmup} steps"
            )
            raise ValueError(msg)
        floor = self.hparams["lr_min"] / self.hparams["lr"]

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            angle = math.pi * (step - warmup) / (total - warmup)
            return floor + (1 - floor) * (1 + math.cos(angle)) / 2

        return factor


def score_batch(detector: Detector, batch: dict[str, Any]) -> Rows:
    """Score a batch, without its padding.

    Returns:
        The images' records with ``label`` and ``logit``.
    """
    logits = detector(batch["image"]).double().tolist()
    rows = []
    for record, label, logit in zip(batch["record"], batch["label"].tolist(), logits, strict=True):
        if label != PADDING:
            rows.append(record | {"label": label, "logit": logit})
    return rows


def gather_rows(rows: Rows) -> Rows:
    """Gather the rows of all processes, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    texts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(texts, json.dumps(rows))
    return [row for text in texts for row in json.loads(text)]

"""Training of the attribute probe, which measures samples of the toy pipelines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from models.faces.face_net import FaceNet
from tiny.faces import ATTRIBUTES, degrade
from tiny.schedule import one_cycle


class AttributeProbe(nn.Module):
    """Classifier of the attributes in :data:`ATTRIBUTES`."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [len(values) for values in ATTRIBUTES.values()]
        self.trunk = FaceNet(channels=(24, 48, 96, 96), embedding=sum(self.sizes))

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Return the logits of each attribute for images (B, 3, S, S) in [0, 1]."""
        return self.trunk.embed(self.trunk.features(images)).split(self.sizes, dim=1)


class ProbeTask(LightningModule):
    """Train the probe with cross-entropy of every visible attribute.

    Args:
        probe: Classifier.
        steps: Length of the one-cycle schedule, in optimizer steps.
        lr: Peak learning rate.
    """

    def __init__(self, probe: AttributeProbe, steps: int, lr: float = 2e-3) -> None:
        super().__init__()
        self.probe = probe
        self.steps = steps
        self.lr = lr

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        predictions = self.probe(degrade(batch["image"]))
        losses = []
        for logits, labels in zip(predictions, batch["attributes"].T, strict=True):
            losses.append(F.cross_entropy(logits, labels, ignore_index=-1))
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(self, self.lr, self.steps)

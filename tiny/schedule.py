"""Optimizer of all models of the toy world."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn


def one_cycle(module: nn.Module, lr: float, steps: int) -> OptimizerLRSchedulerConfig:
    """Build AdamW with a one-cycle learning rate.

    The rate rises over the first tenth of the steps and falls to nearly zero by the last.

    Args:
        module: Module with the parameters to train.
        lr: Peak learning rate.
        steps: Optimizer steps.
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

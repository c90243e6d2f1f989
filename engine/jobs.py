"""What every batch job does alike: a Lightning ``predict`` run without logs and checkpoints, over one process or several."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy

PATIENCE = timedelta(days=2)
"""How long finished processes wait for the slowest; Lightning's half hour is less than a step of some jobs."""


def job_trainer(accelerator: str, devices: int = 1, **settings: Any) -> Trainer:
    """The trainer of a batch job.

    Args:
        accelerator: Lightning's: auto, cpu, gpu.
        devices: Processes.
        settings: Any others of Lightning's.
    """
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy=DDPStrategy(timeout=PATIENCE) if devices > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        **settings,
    )

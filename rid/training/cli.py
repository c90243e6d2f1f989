"""The training door of RID: its task and any data module."""

from __future__ import annotations

from lightning import LightningDataModule
from lightning.pytorch.cli import ArgsType

from checkpoints.safe import read_pickled
from checkpoints.training import RememberModels
from engine.training import TrainingCLI
from rid.training.task import RIDTask


def main(args: ArgsType = None, run: bool = True, quiet: bool = False) -> TrainingCLI:
    """Parse the arguments and run the verb; with ``run=False`` only build what the config names."""
    return TrainingCLI(
        RIDTask,
        LightningDataModule,
        "python -m rid",
        [RememberModels()],
        read_pickled,
        quiet,
        subclass_mode_data=True,
        args=args,
        run=run,
    )

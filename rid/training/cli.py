"""LightningCLI of RID: its task with any data module."""

from __future__ import annotations

from lightning import LightningDataModule
from lightning.pytorch.cli import ArgsType

from checkpoints.safe import read_pickled
from checkpoints.training import RememberModels
from engine.training import TrainingCLI
from rid.training.task import RIDTask


def main(args: ArgsType = None, run: bool = True, quiet: bool = False) -> TrainingCLI:
    """Parse the arguments and run the verb.

    Args:
        args: Command line, verb first; None reads ``sys.argv``.
        run: False only builds the trainer, task and data module of the config.
        quiet: Print no notes and no progress bars.
    """
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

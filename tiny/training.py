"""Training of the toy world's tasks from a config."""

from __future__ import annotations

from lightning import LightningDataModule, LightningModule
from lightning.pytorch.cli import ArgsType

from checkpoints.safe import read_pickled
from checkpoints.training import RememberModels
from engine.training import TrainingCLI


def main(args: ArgsType = None, run: bool = True, quiet: bool = False) -> TrainingCLI:
    """Parse the arguments, and run the subcommand.

    Args:
        args: Arguments; None takes the command line's.
        run: False builds the objects of the config without running.
        quiet: Print less.
    """
    return TrainingCLI(
        LightningModule,
        LightningDataModule,
        "python -m tiny",
        [RememberModels()],
        read_pickled,
        subclass_mode_model=True,
        subclass_mode_data=True,
        args=args,
        run=run,
        quiet=quiet,
    )

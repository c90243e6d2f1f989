"""The training door of RID: its task and any data module."""

from __future__ import annotations

from lightning import LightningDataModule
from lightning.pytorch.cli import ArgsType

from checkpoints.training import SaveRunConfig, TrainingCLI
from rid.task import RIDTask


def main(args: ArgsType = None, run: bool = True) -> TrainingCLI:
    """Parse the arguments and run the verb; with ``run=False`` only build what the config names."""
    return TrainingCLI(
        RIDTask,
        LightningDataModule,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        save_config_callback=SaveRunConfig,
        parser_kwargs={"exit_on_error": False, "prog": "python -m rid"},
        args=args,
        run=run,
    )

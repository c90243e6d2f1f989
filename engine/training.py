"""What every training command does alike: LightningCLI with checks, a record of its settings, and a ``last`` that is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jsonargparse import Namespace
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.cli import (
    ArgsType,
    LightningArgumentParser,
    LightningCLI,
    SaveConfigCallback,
)
from lightning.pytorch.trainer.states import TrainerFn

from engine.cli.parser import ForPeople
from engine.training_stop import StopOnSigterm


class SaveRunConfig(SaveConfigCallback):
    """Saves the resolved config as ``VERB.yaml`` in the run's folder, so that validating does not overwrite how it was trained."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(
            trainer.log_dir or trainer.default_root_dir
        )  # every rank must ask: log_dir is a broadcast
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{TrainerFn(stage).value}.yaml"
            self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)


class TrainingParser(ForPeople, LightningArgumentParser):
    """LightningCLI's parser, with both spellings of options and messages of one line."""


class TrainingCLI(LightningCLI):
    """LightningCLI that refuses a launch whose processes would train apart from one another.

    Args:
        task: The LightningModule.
        data: The LightningDataModule.
        program: How the command is called, for its help.
        callbacks: Of every run, beside the config's.
        read_checkpoint: Reads a checkpoint file without running anything in it; see :func:`checkpoints.safe.read_pickled`.
        quiet: Show no progress bar.
        settings: Any others of LightningCLI's.
    """

    def __init__(
        self,
        task: type[LightningModule],
        data: type[LightningDataModule],
        program: str,
        callbacks: Sequence[Callback],
        read_checkpoint: Callable[[Path], Any],
        quiet: bool = False,
        **settings: Any,
    ) -> None:
        self.read_checkpoint = read_checkpoint
        super().__init__(
            task,
            data,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_callback=SaveRunConfig,
            trainer_defaults={"callbacks": [*callbacks, StopOnSigterm()]}
            | ({"enable_progress_bar": False} if quiet else {}),
            parser_class=TrainingParser,
            parser_kwargs={"exit_on_error": False, "prog": program},
            **settings,
        )

    def setup_parser(self, *given: Any) -> None:
        super().setup_parser(*given)
        cast(TrainingParser, self.parser).outermost = True

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse them without Lightning's warning where they are given: the doors always give them."""
        self.config = (
            parser.parse_object(args)
            if isinstance(args, dict | Namespace)
            else parser.parse_args(args)
        )

    def logged(self) -> dict[str, float] | None:
        """The metrics logged last; None on every process but the first."""
        return (
            {name: float(value) for name, value in self.trainer.callback_metrics.items()}
            if self.trainer.is_global_zero
            else None
        )

    def instantiate_trainer(self, **settings: Any) -> Trainer:
        """Build the trainer; refuse one whose processes are not those that a launcher started.

        Raises:
            ValueError: If they are not, or the trainer does not take its settings.
        """
        try:
            trainer = super().instantiate_trainer(**settings)
        except (
            TypeError,
            RuntimeError,
        ) as error:  # Lightning's ways to refuse devices and launchers
            msg = f"trainer: {error}"
            raise ValueError(msg) from error
        started, wanted = launched_processes(), trainer.num_devices * trainer.num_nodes
        if started > 1 and started != wanted:
            msg = (
                f"the launcher started {started} processes, but trainer.devices x trainer.num_nodes is {wanted}: "
                "make them equal, or each process would train on its own"
            )
            raise ValueError(msg)
        return trainer

    def _parse_ckpt_path(self) -> None:
        """Keep the config and the command line as they are: Lightning would let a checkpoint's settings override both."""

    def before_fit(self) -> None:
        self._check_checkpoint()

    def before_validate(self) -> None:
        self._check_checkpoint()

    def _check_checkpoint(self) -> None:
        """Refuse a file that is no training checkpoint of this task, and never unpickle objects from it; resolve ``last``."""
        path = self._get(self.config_init, "ckpt_path")
        if not path:
            return
        if path == "last":
            path = str(newest_checkpoint(Path(self.trainer.default_root_dir)))
            self.config_init[self.subcommand]["ckpt_path"] = path
        if not Path(path).is_file():
            msg = f"ckpt_path {path}: no such file; training checkpoints are under default_root_dir, in checkpoints/"
            raise FileNotFoundError(msg)
        try:
            state = self.read_checkpoint(Path(path))["state_dict"]
        except (ValueError, TypeError, KeyError) as error:
            msg = f"ckpt_path {path}: not a training checkpoint, or damaged; name one that fit wrote ({error})"
            raise ValueError(msg) from error
        expected = self.model.state_dict()
        if wrong := sorted(set(state) ^ set(expected)) + [
            key for key in expected if key in state and state[key].shape != expected[key].shape
        ]:
            msg = f"ckpt_path {path}: {wrong[0]} does not fit this config's model; use the config the checkpoint was trained with"
            raise ValueError(msg)


def launched_processes() -> int:
    """How many processes a launcher started: torchrun, ``fabric run`` or SLURM; 1 without one."""
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        return int(os.environ["SLURM_NTASKS"])
    return int(os.environ.get("WORLD_SIZE", "1"))


def newest_checkpoint(root: Path) -> Path:
    """The newest whole checkpoint below a folder; one whose writing was cut short is passed over.

    Lightning's own "last" looks into the folder of the run that is about to begin, and silently starts anew.

    Raises:
        FileNotFoundError: If there is none.
    """
    files = sorted(
        root.rglob("checkpoints/*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    for path in files:
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception:  # cut short by a kill: the unpickler raises nearly anything
            continue
        return path
    msg = f"ckpt_path last: no whole checkpoint below {root}; leave ckpt_path out to start from the beginning"
    raise FileNotFoundError(msg)

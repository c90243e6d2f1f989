"""LightningCLI of every training command, with checks and a record of its settings."""

from __future__ import annotations

import logging
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

from engine.cli.for_people import ForPeople
from engine.training_stop import StopOnSigterm


class SaveRunConfig(SaveConfigCallback):
    """Save the resolved config as ``VERB.yaml`` in the run's folder.

    ``validate`` thus keeps the config of ``fit``.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # every rank must read log_dir, which is a broadcast
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{TrainerFn(stage).value}.yaml"
            self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)


log = logging.getLogger(__name__)


class TrainingParser(ForPeople, LightningArgumentParser):
    """LightningCLI's parser with both spellings of options and one-line messages."""


class TrainingCLI(LightningCLI):
    """LightningCLI with checks of the launch and of the checkpoint.

    It refuses a launch whose processes would train separate models.

    Args:
        task: Class of the LightningModule.
        data: Class of the LightningDataModule.
        program: The command, for its help.
        callbacks: Callbacks of every run, before those of the config.
        read_checkpoint: Function that reads a checkpoint file without running code in it;
            see :func:`checkpoints.safe.read_pickled`.
        quiet: Show no progress bar.
        settings: More settings of LightningCLI.
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
        defaults: dict[str, Any] = {"callbacks": [*callbacks, StopOnSigterm()]}
        if quiet:
            defaults["enable_progress_bar"] = False
        super().__init__(
            task,
            data,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_callback=SaveRunConfig,
            trainer_defaults=defaults,
            parser_class=TrainingParser,
            parser_kwargs={"exit_on_error": False, "prog": program},
            **settings,
        )

    def setup_parser(self, *given: Any) -> None:
        super().setup_parser(*given)
        cast(TrainingParser, self.parser).outermost = True

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the arguments without Lightning's warning about arguments passed in code.

        Every command of this project passes them in code.
        """
        if isinstance(args, dict | Namespace):
            self.config = parser.parse_object(args)
        else:
            self.config = parser.parse_args(args)

    def logged(self) -> dict[str, float] | None:
        """Return the last logged metrics; None on every process but the first."""
        if not self.trainer.is_global_zero:
            return None
        return {name: float(value) for name, value in self.trainer.callback_metrics.items()}

    def instantiate_trainer(self, **settings: Any) -> Trainer:
        """Build the trainer, and compare its processes with those of the launcher.

        Raises:
            ValueError: If the numbers differ, or Lightning refuses a setting.
        """
        try:
            trainer = super().instantiate_trainer(**settings)
        except (TypeError, RuntimeError) as error:
            # Lightning raises both for devices and launchers that it refuses
            msg = f"trainer: {error}"
            raise ValueError(msg) from error
        launched = launched_processes()
        wanted = trainer.num_devices * trainer.num_nodes
        if launched > 1 and launched != wanted:
            msg = (
                f"the launcher started {launched} processes, "
                f"but trainer.devices x trainer.num_nodes is {wanted}: "
                "make them equal, or each process would train a separate model"
            )
            raise ValueError(msg)
        return trainer

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning's version lets a checkpoint override the config and options."""

    def before_fit(self) -> None:
        self._check_checkpoint()

    def before_validate(self) -> None:
        self._check_checkpoint()

    def _check_checkpoint(self) -> None:
        """Refuse a file that is no training checkpoint of this task.

        ``last`` becomes the newest complete checkpoint. The file is read without unpickling
        objects.
        """
        # find the file
        path = self._get(self.config_init, "ckpt_path")
        if not path:
            return
        if path == "last":
            path = str(newest_checkpoint(Path(self.trainer.default_root_dir)))
            self.config_init[self.subcommand]["ckpt_path"] = path
        if not Path(path).is_file():
            msg = (
                f"ckpt_path {path}: no such file; "
                "training checkpoints are under default_root_dir, in checkpoints/"
            )
            raise FileNotFoundError(msg)

        # read its weights
        try:
            checkpoint = self.read_checkpoint(Path(path))
            state = checkpoint["state_dict"]
        except (ValueError, TypeError, KeyError) as error:
            msg = (
                f"ckpt_path {path}: not a training checkpoint, or damaged; "
                f"name one that fit wrote ({error})"
            )
            raise ValueError(msg) from error

        # compare names and shapes with the model's
        expected = self.model.state_dict()
        mismatched = sorted(set(state) ^ set(expected))
        for key, tensor in expected.items():
            if key in state and state[key].shape != tensor.shape:
                mismatched.append(key)
        if mismatched:
            msg = (
                f"ckpt_path {path}: {mismatched[0]} does not fit this config's model; "
                "use the config the checkpoint was trained with"
            )
            raise ValueError(msg)

        # say if nothing is left to train
        step, most = checkpoint.get("global_step", 0), self.trainer.max_steps
        if self.subcommand == "fit" and 0 <= most <= step:
            log.warning(
                "nothing to train: %s is at step %d, and trainer.max_steps is %d", path, step, most
            )


def launched_processes() -> int:
    """Count the processes started by torchrun, ``fabric run`` or SLURM; 1 without a launcher."""
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        return int(os.environ["SLURM_NTASKS"])
    return int(os.environ.get("WORLD_SIZE", "1"))


def newest_checkpoint(root: Path) -> Path:
    """Find the newest complete checkpoint below a folder.

    Lightning's own ``last`` searches the folder of the new run and silently trains from scratch.

    Raises:
        FileNotFoundError: If there is no complete checkpoint.
    """
    files = list(root.rglob("checkpoints/*.ckpt"))
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception:  # incomplete after a kill: the unpickler raises nearly anything
            continue
        return path
    msg = (
        f"ckpt_path last: no complete checkpoint below {root}; "
        "leave ckpt_path out to start from the beginning"
    )
    raise FileNotFoundError(msg)

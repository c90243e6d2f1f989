"""Stopping a training run between steps when the system asks for it, with a checkpoint to go on from."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import WeightAveraging

from engine.cli.net import TERMINATED
from engine.stopping import Stopping, stop_on_sigterm


class StopOnSigterm(Callback):
    """Ends ``fit`` after SIGTERM with exit code 143 and leaves ``checkpoints/last.ckpt``.

    The checkpoint is that of the last optimizer step: batches accumulated since, or a validation that was interrupted, are done
    again or skipped as Lightning does after any checkpoint of a step. The process that received the signal tells the others.
    Lightning's own handler would end with code 0, and blocks where several processes are at different places. Its handler of
    SLURM's requeue signal stays as it is.
    """

    def __init__(self) -> None:
        self._handler = ExitStack()
        self._stopping = Stopping()
        self._step = 0
        self._progress: dict[str, Any] | None = None
        self._saving = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step, self._progress = trainer.global_step, None
        self._handler = ExitStack()
        self._stopping = self._handler.enter_context(stop_on_sigterm())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step != self._step:
            self._step, self._progress = trainer.global_step, trainer.fit_loop.state_dict()
        asked = self._stopping.requested
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            self._stop(trainer)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        # processes may validate different numbers of batches, so that several cannot agree here
        if self._stopping.requested and trainer.world_size == 1:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, WeightAveraging):
                    callback.on_validation_epoch_end(
                        trainer, pl_module
                    )  # puts the trained weights back
            self._stop(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._saving:
            checkpoint["loops"]["fit_loop"] = self._progress

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._handler.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._handler.close()

    def _stop(self, trainer: Trainer) -> NoReturn:
        kept = (
            "nothing is kept"
            if self._progress is None or trainer.fast_dev_run
            else self._save(trainer)
        )  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            print(f"stopped by SIGTERM after step {self._step}: {kept}", file=sys.stderr)
        # Lightning kills the first process at once if one that it started ends with another code than 0
        environment = getattr(trainer.strategy, "cluster_environment", None)
        started_by_first = (
            isinstance(environment, LightningEnvironment) and not trainer.is_global_zero
        )
        raise SystemExit(0 if started_by_first else TERMINATED)

    def _save(self, trainer: Trainer) -> str:
        root = Path(trainer.default_root_dir)
        folder = Path(trainer.log_dir or root)  # every rank must ask: log_dir is a broadcast
        path = (folder if folder.is_relative_to(root) else root) / "checkpoints" / "last.ckpt"
        if trainer.is_global_zero:
            path.unlink(missing_ok=True)  # it may be a link to a checkpoint with another name
        self._saving = True
        trainer.save_checkpoint(path)
        self._saving = False
        return f"{path} is written; the same command with --ckpt_path last goes on from it"

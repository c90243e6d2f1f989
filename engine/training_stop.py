"""Stop a training run on SIGTERM, between steps, with a checkpoint to resume from."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import WeightAveraging

from engine.cli.exit_codes import TERMINATED
from engine.stopping import Stopping, stop_on_sigterm

log = logging.getLogger(__name__)


class StopOnSigterm(Callback):
    """Stop ``fit`` after SIGTERM with exit code 143 and write ``checkpoints/last.ckpt``.

    The checkpoint has the state after the last optimizer step. As after any such checkpoint,
    Lightning repeats or skips the batches accumulated since, or an interrupted validation.

    The process that receives the signal stops all others.

    Lightning's own handler exits with code 0, and blocks where the processes are at different
    steps. Its handler of SLURM's requeue signal stays in use.
    """

    def __init__(self) -> None:
        self._handler = ExitStack()
        self._stopping = Stopping()
        self._step = 0
        self._progress: dict[str, Any] | None = None
        self._saving = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        self._progress = None
        self._handler = ExitStack()
        self._stopping = self._handler.enter_context(stop_on_sigterm())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step != self._step:
            self._step = trainer.global_step
            self._progress = trainer.fit_loop.state_dict()
        stop = self._stopping.requested
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            self._stop(trainer)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        # several processes cannot agree here: each may validate another number of batches
        if self._stopping.requested and trainer.world_size == 1:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, WeightAveraging):
                    # restore the trained weights
                    callback.on_validation_epoch_end(trainer, pl_module)
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
        """Save a checkpoint, print its path and exit."""
        # save the last step
        nothing_new = self._progress is None or trainer.fast_dev_run  # type: ignore[attr-defined]
        saved = "nothing is saved" if nothing_new else self._save(trainer)
        if trainer.is_global_zero:
            log.info("stopped by SIGTERM after step %d: %s", self._step, saved)
        # exit with 0 where Lightning would kill the first process after another code
        environment = getattr(trainer.strategy, "cluster_environment", None)
        started_by_first = (
            isinstance(environment, LightningEnvironment) and not trainer.is_global_zero
        )
        raise SystemExit(0 if started_by_first else TERMINATED)

    def _save(self, trainer: Trainer) -> str:
        """Write ``last.ckpt`` and return the message about it."""
        root = Path(trainer.default_root_dir)
        folder = Path(trainer.log_dir or root)  # every rank must read it: log_dir is a broadcast
        path = (folder if folder.is_relative_to(root) else root) / "checkpoints" / "last.ckpt"
        if trainer.is_global_zero:
            path.unlink(missing_ok=True)  # it may link to another checkpoint
        self._saving = True
        trainer.save_checkpoint(path)
        self._saving = False
        return f"{path} is written; the same command with --ckpt_path last goes on from it"

"""An evaluation every so many optimiser steps that leaves the training exactly as it found it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from eval.callbacks.needs import require
from eval.callbacks.pictures import log_picture

Scalars = dict[str, Tensor]


class PeriodicEvaluation(Callback, ABC):
    """Runs :meth:`evaluate` every ``every_n_steps`` optimiser steps on every rank, and logs what it returns.

    Random states, training modes and gradients are the same after it as before, so that a run ends in the same weights
    with and without it.

    Args:
        every_n_steps: Optimiser steps between two evaluations.
        name: Values are logged as ``NAME/VALUE``, pictures as ``NAME``.

    Raises:
        ValueError: If ``every_n_steps`` is below 1.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Methods that the module must have."""
    fits: ClassVar[str] = ""
    """Trainings that have them."""

    def __init__(self, every_n_steps: int, name: str) -> None:
        if every_n_steps < 1:
            msg = f"every_n_steps must be at least 1, got {every_n_steps}"
            raise ValueError(msg)
        self.every_n_steps, self.name = every_n_steps, name
        self._last = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot be evaluated, before anything is trained."""
        if stage == "fit":
            require(pl_module, self, self.needs, self.fits)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse data and models that do not fit the module, before anything is trained."""
        try:
            with undisturbed(pl_module), torch.no_grad():
                self.check(pl_module)
        except (RuntimeError, TypeError, LookupError) as error:
            msg = (
                f"{type(self).__name__} does not fit this training: {type(error).__name__}: {error}"
            )
            raise ValueError(msg) from error

    def check(self, module: Any) -> None:
        """Try on one image what an evaluation does, and open what it needs.

        Raises:
            ValueError: If something does not fit.
            FileNotFoundError: If something is not there.
        """

    @abstractmethod
    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor | None]:
        """Values already reduced over ranks, and a picture (3, H, W) in [0, 1] if there is one."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if (
            step == self._last or step % self.every_n_steps
        ):  # with accumulated gradients several batches end at one step
            return
        self._last = step
        with undisturbed(pl_module), torch.no_grad():
            scalars, picture = self.evaluate(trainer, pl_module)
        values = {f"{self.name}/{key}": value.float() for key, value in scalars.items()}
        pl_module.log_dict(values, logger=False)  # for callbacks that monitor them
        for logger in (
            trainer.loggers
        ):  # directly: Lightning would wait for the next step that log_every_n_steps divides
            logger.log_metrics({key: float(value) for key, value in values.items()}, step)
        if picture is not None:
            log_picture(trainer, self.name, picture)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within; modes, gradients and the random states of torch, NumPy and Python as before after it."""
    modes = [(part, part.training) for part in module.modules()]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    module.eval()
    try:
        with isolate_rng():
            yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter, gradient in gradients:
            parameter.grad = gradient

"""Periodic evaluation that leaves the training exactly as it was."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from eval.callbacks.pictures import log_image
from eval.callbacks.required_methods import require_methods

Scalars = dict[str, Tensor]


class PeriodicEvaluation(Callback, ABC):
    """Evaluates every ``every_n_steps`` optimizer steps and logs the results.

    It runs on every rank. Random states, training modes and gradients are restored after it, so a
    run ends in the same weights with and without it.

    Args:
        every_n_steps: Optimizer steps between two evaluations, at least 1.
        name: Values are logged as ``NAME/VALUE``, images as ``NAME``.

    Raises:
        ValueError: If ``every_n_steps`` is below 1.
    """

    required_methods: ClassVar[tuple[str, ...]] = ()
    """Methods that the module must have."""

    supported_trainings: ClassVar[str] = ""
    """Trainings whose modules have these methods, for the error message."""

    def __init__(self, every_n_steps: int, name: str) -> None:
        if every_n_steps < 1:
            msg = f"every_n_steps must be at least 1, got {every_n_steps}"
            raise ValueError(msg)
        self.every_n_steps, self.name = every_n_steps, name
        self._last_step = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Before the training starts.
        if stage == "fit":
            require_methods(pl_module, self, self.required_methods, self.supported_trainings)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that data and models fit the module."""
        try:
            with undisturbed(pl_module), torch.no_grad():
                self.check(pl_module)
        except (RuntimeError, TypeError, LookupError) as error:
            msg = (
                f"{type(self).__name__} does not fit this training: {type(error).__name__}: {error}"
            )
            raise ValueError(msg) from error

    def check(self, module: Any) -> None:
        """Try an evaluation on one image, and open its models.

        Raises:
            ValueError: If something does not fit.
            FileNotFoundError: If something is missing.
        """

    @abstractmethod
    def evaluate(self, trainer: Trainer, module: Any) -> tuple[Scalars, Tensor | None]:
        """Evaluate the module.

        Returns:
            Values, already reduced over ranks, and optionally an image (3, H, W) in [0, 1].
        """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # With accumulated gradients, several batches end at one step.
        step = trainer.global_step
        if step == self._last_step or step % self.every_n_steps:
            return
        self._last_step = step
        with undisturbed(pl_module), torch.no_grad():
            scalars, image = self.evaluate(trainer, pl_module)
        values = {f"{self.name}/{key}": value.float() for key, value in scalars.items()}

        # For callbacks that monitor a value.
        pl_module.log_dict(values, logger=False)

        # Straight to the loggers: Lightning would wait for the next step of log_every_n_steps.
        for logger in trainer.loggers:
            logger.log_metrics({key: float(value) for key, value in values.items()}, step)
        if image is not None:
            log_image(trainer, self.name, image)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode, and restore all states of the training afterwards.

    Restored are training modes, gradients, and the random states of torch, NumPy and Python.
    """
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

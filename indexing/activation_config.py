"""Settings of activation."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from indexing.perturbation import Distortion

Loss = Literal["cossim", "l2"]


@dataclass(frozen=True)
class ActivationConfig:
    """Settings of activation; the defaults are the paper's.

    Attributes:
        iterations: Optimizer steps.
        optimizer: A class of ``torch.optim`` and its settings: ``Adam,lr=1``.
        scheduler: A class of ``torch.optim.lr_scheduler`` and its settings, such as
            ``CosineAnnealingLR,T_max=10``; none if empty.
        loss: ``cossim`` pulls descriptors towards the target's direction, ``l2`` towards the target
            itself.
        lambda_f: Weight of the feature loss.
        lambda_i: Weight of the image loss, the mean squared change of the image.
        distortion: Size and shape of the change.
        views: Randomly edited views of each image that are optimized along with it, drawn anew in
            every step; the paper uses none.
        min_psnr: Minimum PSNR of a result in dB, reached by scaling its change down; no limit if
            None.
        max_levels: Largest change of a value in gray levels of 255, after rounding; no limit beyond
            the distortion's if None.
        seed: Seed of the initial values and the edited views.

    Raises:
        ValueError: If a value is out of range, or the optimizer or scheduler is unknown.
    """

    iterations: int = 10
    optimizer: str = "Adam,lr=1"
    scheduler: str = ""
    loss: Loss = "cossim"
    lambda_f: float = 1.0
    lambda_i: float = 0.01
    distortion: Distortion = field(default_factory=Distortion)
    views: int = 0
    min_psnr: float | None = None
    max_levels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.views < 0 or self.lambda_f <= 0 or self.lambda_i < 0:
            msg = (
                "iterations must be at least 1, views and lambda_i at least 0 and lambda_f above "
                f"0, got {self.iterations}, {self.views}, {self.lambda_i} and {self.lambda_f}"
            )
            raise ValueError(msg)
        levels_valid = self.max_levels is None or self.max_levels >= 1
        psnr_valid = self.min_psnr is None or 0 < self.min_psnr < 100
        if not levels_valid or not psnr_valid:
            msg = (
                "max_levels must be at least 1 and min_psnr between 0 and 100 dB, got "
                f"{self.max_levels} and {self.min_psnr}"
            )
            raise ValueError(msg)
        # unknown optimizers and schedulers fail here, not in the middle of a job
        probe = torch.zeros(1, requires_grad=True)
        optimizer = instantiate(self.optimizer, torch.optim, [probe])
        instantiate(self.scheduler, torch.optim.lr_scheduler, optimizer)


def instantiate(text: str, module: Any, first: Any) -> Any:
    """Instantiate a class from text such as ``Adam,lr=1``.

    Args:
        text: Name of the class and its keyword arguments; empty for None.
        module: Module of the class.
        first: First positional argument.

    Returns:
        The instance; None if ``text`` is empty.

    Raises:
        ValueError: If there is no such class, or it does not take the settings.
    """
    if not text:
        return None
    # class
    name, *settings = (part.strip() for part in text.split(","))
    kind = getattr(module, name, None)
    if not isinstance(kind, type) or name.startswith("_"):
        msg = (
            f"{module.__name__} has no class '{name}'; write a name and settings, such as "
            "Adam,lr=1 or CosineAnnealingLR,T_max=10"
        )
        raise ValueError(msg)
    # keyword arguments
    try:
        pairs = dict(setting.split("=") for setting in settings)
        values: dict[str, Any] = {key: _number(value) for key, value in pairs.items()}
        excluding = {"foreach", "differentiable"}
        if "fused" in inspect.signature(kind).parameters and not excluding & set(values):
            values = {"fused": True} | values  # one pass over memory instead of a dozen
        return kind(first, **values)
    except (TypeError, ValueError) as error:
        msg = f"'{text}': {name} does not take these settings ({error})"
        raise ValueError(msg) from error


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)

"""Activation: change pictures a little so that their descriptors come to lie on targets (arXiv 2210.10620, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.images import to_levels
from indexing.perturbation import Distortion
from indexing.preprocessing import denormalise, normalise, resize
from indexing.views import EditedViews

Loss = Literal["cossim", "l2"]


@dataclass(frozen=True)
class ActivationConfig:
    """How pictures are changed. The defaults are the paper's.

    Attributes:
        iterations: Optimiser steps.
        optimizer: A class of ``torch.optim`` and its settings: ``Adam,lr=1``.
        scheduler: A class of ``torch.optim.lr_scheduler`` and its settings, such as ``CosineAnnealingLR,T_max=10``; none if empty.
        loss: ``cossim`` draws descriptors towards the target's direction, ``l2`` towards the target itself.
        lambda_f: Weight of that.
        lambda_i: Weight of the mean squared change of the picture.
        distortion: Size and shape of the change.
        views: Edited views of each picture that are drawn to the target along with it, anew in every step; the paper uses none.
        min_psnr: Least PSNR of a result in dB, kept by shrinking its change; no limit if None.
        max_levels: Largest change of a value in grey levels, after rounding; no limit beyond the distortion's if None.
        seed: Of the first values and the edited views.

    Raises:
        ValueError: If a number is out of range, or there is no such optimiser or scheduler.
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
                "iterations must be at least 1, views and lambda_i at least 0 and lambda_f above 0, "
                f"got {self.iterations}, {self.views}, {self.lambda_i} and {self.lambda_f}"
            )
            raise ValueError(msg)
        if (self.max_levels is not None and self.max_levels < 1) or (self.min_psnr is not None and not 0 < self.min_psnr < 100):
            msg = f"max_levels must be at least 1 and min_psnr between 0 and 100 dB, got {self.max_levels} and {self.min_psnr}"
            raise ValueError(msg)
        probe = torch.zeros(1, requires_grad=True)
        named(self.scheduler, torch.optim.lr_scheduler, named(self.optimizer, torch.optim, [probe]))


def named(text: str, module: Any, first: Any) -> Any:
    """What a text such as ``Adam,lr=1`` names in a module, called with ``first`` and those settings; None for an empty one.

    Raises:
        ValueError: If there is no such class, or it does not take the settings.
    """
    if not text:
        return None
    name, *settings = (part.strip() for part in text.split(","))
    kind = getattr(module, name, None)
    if not isinstance(kind, type) or name.startswith("_"):
        msg = f"{module.__name__} has no class '{name}'; write a name and settings, such as Adam,lr=1 or CosineAnnealingLR,T_max=10"
        raise ValueError(msg)
    try:
        pairs = dict(setting.split("=") for setting in settings)
        values = {key: int(value) if value.lstrip("-").isdigit() else float(value) for key, value in pairs.items()}
        return kind(first, **values)
    except (TypeError, ValueError) as error:
        msg = f"'{text}': {name} does not take these settings ({error})"
        raise ValueError(msg) from error


@dataclass(frozen=True)
class Objective:
    """What descriptors are drawn to.

    Attributes:
        describe: Network from (B, 3, S, S) normalised pictures to (B, D) descriptors.
        side: S.
        antialias: Whether pictures are smoothed when they are made smaller for it.
        targets: (B, D), one for each picture.
    """

    describe: Callable[[Tensor], Tensor]
    side: int
    antialias: bool
    targets: Tensor


@dataclass(frozen=True)
class Activated:
    """Changed pictures, (3, H, W) uint8 each, and the mean feature loss before each step and after the last."""

    levels: list[Tensor]
    losses: list[float]


def activate(images: Sequence[Tensor], objectives: Sequence[Objective], config: ActivationConfig) -> Activated:
    """Change pictures of any sizes together.

    Args:
        images: (3, H, W) in [0, 1] each, on one device.
        objectives: One for each index the pictures are to be found in.
        config: How.
    """
    groups = _by_size(images)
    device = images[0].device
    source = torch.Generator().manual_seed(config.seed)
    noise = [1e-6 * torch.randn(image.shape, generator=source) for image in images]
    originals = [normalise(torch.stack([images[index] for index in group])) for group in groups]
    amplitudes = [config.distortion.amplitude(torch.stack([images[index] for index in group])) for group in groups]
    free = [torch.stack([noise[index] for index in group]).to(device).requires_grad_(True) for group in groups]
    optimizer = named(config.optimizer, torch.optim, free)
    scheduler = named(config.scheduler, torch.optim.lr_scheduler, optimizer)
    order = torch.tensor([index for group in groups for index in group], device=device).argsort()
    views = EditedViews(config.views, source) if config.views else None

    shrunk = [[resize(part, objective.side, objective.antialias) for part in originals] for objective in objectives]

    def changes() -> list[Tensor]:
        return [a * config.distortion.squash(d) for a, d in zip(amplitudes, free, strict=True)]

    def feature_loss(differences: list[Tensor]) -> Tensor:
        terms = []
        for objective, before in zip(objectives, shrunk, strict=True):  # resizing is linear: of the picture itself once is enough
            moved = [x + resize(part, objective.side, objective.antialias) for x, part in zip(before, differences, strict=True)]
            small = torch.cat(moved)[order]
            targets = objective.targets.to(device)
            if views is not None:
                small = torch.cat([small, views(small)])
                targets = targets.repeat(config.views + 1, 1)
            terms.append(_distance(objective.describe(small), targets, config.loss))
        return torch.stack(terms).mean()

    losses = []
    with torch.enable_grad():
        for _ in range(config.iterations):
            differences = changes()
            near = feature_loss(differences)
            change = torch.cat([part.square().mean(dim=(1, 2, 3)) for part in differences]).mean()
            for part, slope in zip(free, torch.autograd.grad(config.lambda_f * near + config.lambda_i * change, free), strict=True):
                part.grad = slope  # of the pictures alone: the networks' weights get none
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            losses.append(float(near.detach()))
    with torch.no_grad():
        differences = changes()
        losses.append(float(feature_loss(differences)))
        released = [picture for x, part in zip(originals, differences, strict=True) for picture in denormalise(x + part)]
        return Activated([limited(images[index], released[place], config) for index, place in enumerate(order.tolist())], losses)


def _distance(descriptors: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    if loss == "cossim":
        return -F.cosine_similarity(descriptors, targets, dim=1).mean()
    return F.pairwise_distance(descriptors, targets).square().mean()


def _by_size(images: Sequence[Tensor]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(index)
    return list(groups.values())


def limited(original: Tensor, changed: Tensor, config: ActivationConfig) -> Tensor:
    """The changed picture in 8 bits, (3, H, W), its change shrunk as far as ``min_psnr`` and ``max_levels`` ask.

    Args:
        original: (3, H, W) in [0, 1], of 8 bits.
        changed: The same shape.
        config: With the limits.
    """
    before = to_levels(original).short()
    difference = changed - original

    def levels(share: float) -> Tensor:
        after = to_levels(original + share * difference).short()
        if config.max_levels is not None:
            after = after.clamp(before - config.max_levels, before + config.max_levels)
        return after

    def good(after: Tensor) -> bool:
        error = (after - before).double().square().mean()
        return config.min_psnr is None or float(error) <= 255**2 / 10 ** (config.min_psnr / 10)

    whole = levels(1.0)
    if good(whole):
        return whole.byte()
    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if good(levels(middle)) else (low, middle)
    return levels(low).byte()

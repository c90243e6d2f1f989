"""Activation: change pictures a little so that their descriptors come to lie on targets (arXiv 2210.10620, section 4)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from images.io import to_uint8
from images.metrics import psnr
from indexing.perturbation import Distortion
from indexing.views import EditedViews
from models.preprocessing import IMAGENET_STD, normalize, resize

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
        values: dict[str, Any] = {key: int(value) if value.lstrip("-").isdigit() else float(value) for key, value in pairs.items()}
        if "fused" in inspect.signature(kind).parameters and not {"foreach", "differentiable"} & set(values):
            values = {"fused": True} | values  # one pass over memory instead of a dozen
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


class Perturbation:
    """The change of one picture: a free variable, what it is worth, and its slope, in memory that is taken once and used in every step.

    Derivatives are written out: the change is a product, resizing is linear, and the machinery for anything more general would
    move several times the memory, which at a picture's full size is what a step's time goes into.

    Args:
        image: (3, H, W) in [0, 1].
        noise: First value of the free variable, (3, H, W).
        distortion: Size and shape of the change.
    """

    def __init__(self, image: Tensor, noise: Tensor, distortion: Distortion) -> None:
        self.image, self.distortion = image, distortion
        self.amplitude = distortion.amplitude(image.unsqueeze(0))[0]
        self.free = noise.requires_grad_(True)
        self.free.grad, self.share, self.value = (torch.empty_like(noise) for _ in range(3))  # laid out alike, as fused optimisers ask
        self.shrunk: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def update(self) -> None:
        """Work the change out from the free variable."""
        torch.mul(self.distortion.squash(self.free, self.share), self.amplitude, out=self.value)

    def small(self, objectives: Sequence[Objective]) -> list[Tensor]:
        """The change as each network sees it, (1, 3, S, S); resizing is linear, so the picture itself is resized once."""
        with torch.enable_grad():
            wholes = [self.value.unsqueeze(0).requires_grad_(True) for _ in objectives]
            smalls = [resize(whole, o.side, o.antialias) for whole, o in zip(wholes, objectives, strict=True)]
        self.shrunk = list(zip(wholes, smalls, strict=True))
        return [part.detach() for part in smalls]

    @torch.no_grad()
    def descend(self, slopes: Sequence[Tensor], weight: float) -> None:
        """Set the free variable's slope.

        Args:
            slopes: Of the loss in what :meth:`small` gave, (3, S, S) each.
            weight: Of the mean square of the change in the loss.
        """
        assert self.free.grad is not None
        slope = torch.mul(self.value, 2 * weight / self.value.numel(), out=self.free.grad)
        for (whole, small), part in zip(self.shrunk, slopes, strict=True):
            slope += torch.autograd.grad(small, whole, part.unsqueeze(0))[0][0]
        self.distortion.squash_backward(slope.mul_(self.amplitude), self.share)

    def result(self) -> Tensor:
        """The changed picture, (3, H, W) in about [0, 1]."""
        return self.image + self.value * self.value.new_tensor(IMAGENET_STD).view(3, 1, 1)


def activate(images: Sequence[Tensor], objectives: Sequence[Objective], config: ActivationConfig) -> Activated:
    """Change pictures of any sizes together.

    Args:
        images: (3, H, W) in [0, 1] each, on one device.
        objectives: One for each index the pictures are to be found in.
        config: How.
    """
    source = torch.Generator().manual_seed(config.seed)
    changes = [Perturbation(image, (1e-6 * torch.randn(image.shape, generator=source)).to(image), config.distortion) for image in images]
    optimizer = named(config.optimizer, torch.optim, [change.free for change in changes])
    scheduler = named(config.scheduler, torch.optim.lr_scheduler, optimizer)
    views = EditedViews(config.views, source) if config.views else None
    originals = [torch.cat([resize(normalize(image).unsqueeze(0), o.side, o.antialias) for image in images]) for o in objectives]
    targets = [objective.targets.to(images[0]).repeat(config.views + 1, 1) for objective in objectives]

    def seen() -> list[Tensor]:
        """What each network sees of all pictures, (B, 3, S, S)."""
        for change in changes:
            change.update()
        smalls = zip(*(change.small(objectives) for change in changes), strict=True)
        return [x + torch.cat(parts) for x, parts in zip(originals, smalls, strict=True)]

    def feature_loss(pictures: list[Tensor]) -> Tensor:
        terms = []
        for objective, goals, picture in zip(objectives, targets, pictures, strict=True):
            small = picture if views is None else torch.cat([picture, views(picture)])
            terms.append(_distance(objective.describe(small), goals, config.loss))
        return torch.stack(terms).mean()

    losses = []
    for _ in range(config.iterations):
        with torch.enable_grad():
            pictures = [picture.requires_grad_(True) for picture in seen()]
            near = feature_loss(pictures)
            slopes = torch.autograd.grad(config.lambda_f * near, pictures)  # the networks' weights need none
        for place, change in enumerate(changes):
            change.descend([slope[place] for slope in slopes], config.lambda_i / len(changes))
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(float(near.detach()))
    with torch.no_grad():
        losses.append(float(feature_loss(seen())))
        return Activated([limited(image, change.result(), config) for image, change in zip(images, changes, strict=True)], losses)


def _distance(descriptors: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    if loss == "cossim":
        return -F.cosine_similarity(descriptors, targets, dim=1).mean()
    return F.pairwise_distance(descriptors, targets).square().mean()


def limited(original: Tensor, changed: Tensor, config: ActivationConfig) -> Tensor:
    """The changed picture in 8 bits, (3, H, W), its change shrunk as far as ``min_psnr`` and ``max_levels`` ask.

    Args:
        original: (3, H, W) in [0, 1], of 8 bits.
        changed: The same shape.
        config: With the limits.
    """
    before = to_uint8(original).short()
    difference = changed - original

    def levels(share: float) -> Tensor:
        after = to_uint8(original + share * difference).short()
        if config.max_levels is not None:
            after = after.clamp(before - config.max_levels, before + config.max_levels)
        return after

    def good(after: Tensor) -> bool:
        if config.min_psnr is None:
            return True
        return psnr(float((after - before).float().square().mean(dtype=torch.float64))) >= config.min_psnr

    whole = levels(1.0)
    if good(whole):
        return whole.byte()
    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if good(levels(middle)) else (low, middle)
    return levels(low).byte()

"""Activation: imperceptible image changes towards descriptor targets.

Source: active image indexing (arXiv 2210.10620, section 4).
Letters: B = images, S = side of the network's input, D = descriptor length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from images.io import to_uint8
from images.metrics import psnr
from indexing.activation_config import ActivationConfig, Loss, instantiate
from indexing.opacity import Opacity, on_white
from indexing.views import EditedViews
from models.preprocessing import IMAGENET_STD, Preprocessing, resize

BISECTION_STEPS = 10

SMALLEST_NORM = 1e-9
"""Smallest gradient norm that is balanced with others, as a share of their mean."""


@dataclass(frozen=True)
class DescriptorObjective:
    """Descriptor targets of one network.

    Attributes:
        embed: Network from preprocessed images, (B, 3, S, S), to descriptors, (B, D).
        preprocess: Its preprocessing, on floating-point values; S is its side.
        targets: One target per image, (B, D).
    """

    embed: Callable[[Tensor], Tensor]
    preprocess: Preprocessing
    targets: Tensor

    def resize(self, perturbation: Tensor) -> Tensor:
        """Bring a perturbation of ImageNet-normalized values to the network's input.

        Args:
            perturbation: (B, 3, H, W).

        Returns:
            (B, 3, S, S).
        """
        small = resize(perturbation, self.preprocess.side, self.preprocess.antialias)
        if self.preprocess.std == IMAGENET_STD:
            return small
        ratio = [own / net for own, net in zip(IMAGENET_STD, self.preprocess.std, strict=True)]
        return small * small.new_tensor(ratio).view(3, 1, 1)


@dataclass(frozen=True)
class ActivatedImages:
    """Activated images and the course of the optimization.

    Attributes:
        images_u8: Changed images, (3, H, W) uint8 each.
        losses: Mean feature loss before each step and after the last, iterations + 1 values.
    """

    images_u8: list[Tensor]
    losses: list[float]


class Perturbation:
    """Perturbation of one image, with hand-derived gradients.

    It is a function of an unbounded parameter.

    Autograd would move several times more memory, which dominates at full resolution.
    For the same reason, buffers are allocated once and reused in every step, and each image has
    its own optimizer: a whole step of it is taken while its buffers are in the cache.

    Args:
        image: (3, H, W) RGB in [0, 1].
        initial: Initial value of the parameter, (3, H, W).
        config: Settings of the optimization.
        opacity: Share of the change that is seen, for each pixel; unseen ones do not change.
    """

    def __init__(
        self,
        image: Tensor,
        initial: Tensor,
        config: ActivationConfig,
        opacity: Opacity = None,
    ) -> None:
        self.image = image
        self.opacity = opacity
        self.distortion = config.distortion
        self.amplitude = self.distortion.amplitude(image.unsqueeze(0))[0]
        if opacity is not None:
            self.amplitude = self.amplitude * (opacity > 0)
        self.parameter = initial.requires_grad_(True)
        # buffers of the parameter's memory layout, which fused optimizers require
        self.parameter.grad = torch.empty_like(initial)
        self.squashed = torch.empty_like(initial)
        self.value = torch.empty_like(initial)
        # full-size and resized perturbation for each network
        self.resized_pairs: list[tuple[Tensor, Tensor]] = []
        # weight of each network's gradient, set by the first
        self.weights: list[Tensor] = []
        self.optimizer = instantiate(config.optimizer, torch.optim, [self.parameter])
        self.scheduler = instantiate(config.scheduler, torch.optim.lr_scheduler, self.optimizer)
        self.update()

    def step(self, gradients: Sequence[Tensor], weight: float) -> None:
        """Take a step of the optimizer; arguments as of :meth:`backward`."""
        self.backward(gradients, weight)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        self.update()

    @torch.no_grad()
    def update(self) -> None:
        """Compute the perturbation's value from its parameter."""
        squashed = self.distortion.squash(self.parameter, self.squashed)
        torch.mul(squashed, self.amplitude, out=self.value)

    def resized(self, objectives: Sequence[DescriptorObjective]) -> list[Tensor]:
        """Resize the perturbation for each network, (1, 3, S, S).

        Resizing is linear, so the image itself needs to be resized only once.
        """
        self.resized_pairs = []
        with torch.enable_grad():
            for objective in objectives:
                full = self.value.unsqueeze(0).requires_grad_(True)
                seen = full if self.opacity is None else full * self.opacity
                self.resized_pairs.append((full, objective.resize(seen)))
        return [small.detach() for _, small in self.resized_pairs]

    @torch.no_grad()
    def backward(self, gradients: Sequence[Tensor], weight: float) -> None:
        """Compute the gradient of the parameter.

        Args:
            gradients: Gradient of the loss with respect to each result of :meth:`resized`,
                (3, S, S) each.
            weight: Weight of the perturbation's mean square in the loss.
        """
        assert self.parameter.grad is not None
        # image loss
        scale = 2 * weight / self.value.numel()
        gradient = torch.mul(self.value, scale, out=self.parameter.grad)
        # feature losses, through the resizing
        parts = [
            torch.autograd.grad(small, full, small_gradient.unsqueeze(0))[0][0]
            for (full, small), small_gradient in zip(self.resized_pairs, gradients, strict=True)
        ]
        for part in self._balanced(parts):
            gradient += part
        self.distortion.squash_backward(gradient.mul_(self.amplitude), self.squashed)

    def _balanced(self, parts: list[Tensor]) -> list[Tensor]:
        """Bring the gradients of several networks to one scale, that of the first step.

        Otherwise the network with the largest gradients would decide alone.
        """
        if len(parts) == 1:
            return parts
        if not self.weights:
            norms = torch.stack([part.norm() for part in parts])
            mean = norms.mean()
            self.weights = list(mean / norms.clamp(min=SMALLEST_NORM * mean))
        return [part * weight for part, weight in zip(parts, self.weights, strict=True)]

    def result(self) -> Tensor:
        """Return the changed image, (3, H, W), about in [0, 1]."""
        return self.image + self.value * self.value.new_tensor(IMAGENET_STD).view(3, 1, 1)


def activate(
    images: Sequence[Tensor],
    objectives: Sequence[DescriptorObjective],
    config: ActivationConfig,
    opacities: Sequence[Opacity] | None = None,
) -> ActivatedImages:
    """Activate images of any sizes together.

    Each image has its own random numbers, loss and optimizer, so that its result does not depend on
    the others, but for the rounding of floating-point sums in the networks' batches.

    Args:
        images: (3, H, W) RGB in [0, 1] each, on one device.
        objectives: One for each index that is to find the images. Their gradients are brought to
            one scale for each image.
        config: Settings of the optimization.
        opacities: Opacity of each image, which the networks see on white; None for opaque images.

    Returns:
        The activated images and the losses.
    """
    # perturbations with small random initial values
    perturbations = []
    generators = []
    opacities = opacities or [None] * len(images)
    for image, opacity in zip(images, opacities, strict=True):
        generator = torch.Generator().manual_seed(config.seed)
        generators.append(generator)
        initial = (1e-6 * torch.randn(image.shape, generator=generator)).to(image)
        perturbations.append(Perturbation(image, initial, config, opacity))
    views = EditedViews(config.views, generators) if config.views else None
    # inputs and targets of each network
    seen = on_white(images, opacities)
    originals = [_resized_originals(seen, objective) for objective in objectives]
    targets = [
        objective.targets.to(images[0]).repeat(config.views + 1, 1) for objective in objectives
    ]

    def network_inputs(by_image: list[list[Tensor]]) -> list[Tensor]:
        """Add the resized perturbations to each network's inputs, (B, 3, S, S)."""
        by_network = zip(*by_image, strict=True)
        return [x + torch.cat(parts) for x, parts in zip(originals, by_network, strict=True)]

    def feature_loss(inputs: list[Tensor]) -> Tensor:
        """Average the descriptors' distances to their targets over images and networks."""
        terms = []
        for objective, goals, x in zip(objectives, targets, inputs, strict=True):
            all_views = x if views is None else torch.cat([x, views(x)])
            terms.append(_distance(objective.embed(all_views), goals, config.loss))
        return torch.stack(terms).mean()

    resized = [perturbation.resized(objectives) for perturbation in perturbations]
    losses: list[Tensor] = []
    for _ in range(config.iterations):
        # gradient with respect to the networks' inputs; their weights need none
        with torch.enable_grad():
            inputs = [x.requires_grad_(True) for x in network_inputs(resized)]
            loss = feature_loss(inputs)
            # of the sum over the images: each has its own loss
            gradients = torch.autograd.grad(len(images) * config.lambda_f * loss, inputs)
        # step of the perturbations
        for index, perturbation in enumerate(perturbations):
            own_gradients = [gradient[index] for gradient in gradients]
            perturbation.step(own_gradients, config.lambda_i)
            resized[index] = perturbation.resized(objectives)
        losses.append(loss.detach())
    # final loss, and results in 8 bits
    with torch.no_grad():
        losses.append(feature_loss(network_inputs(resized)))
        images_u8 = [
            apply_limits(image, perturbation.result(), config)
            for image, perturbation in zip(images, perturbations, strict=True)
        ]
        return ActivatedImages(images_u8, torch.stack(losses).tolist())


def _resized_originals(images: Sequence[Tensor], objective: DescriptorObjective) -> Tensor:
    preprocess = objective.preprocess
    return torch.cat([preprocess.from_tensors(image.unsqueeze(0)) for image in images])


def _distance(descriptors: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Compute the distance of descriptors (B, D) to their targets."""
    if loss == "cossim":
        return -F.cosine_similarity(descriptors, targets, dim=1).mean()
    return F.pairwise_distance(descriptors, targets).square().mean()


def apply_limits(original: Tensor, changed: Tensor, config: ActivationConfig) -> Tensor:
    """Round a changed image to 8 bits within the limits.

    The limits are ``min_psnr`` and ``max_levels``. Bisection finds the largest scale of the change
    at which they hold.

    Args:
        original: (3, H, W) in [0, 1], of 8-bit values.
        changed: Same shape.
        config: Settings with the limits.

    Returns:
        (3, H, W) uint8.
    """
    original_levels = to_uint8(original).short()
    difference = changed - original

    def scaled(factor: float) -> Tensor:
        """Scale the change, round it, and clamp it to ``max_levels``."""
        levels = to_uint8(original + factor * difference).short()
        if config.max_levels is not None:
            lowest = original_levels - config.max_levels
            highest = original_levels + config.max_levels
            levels = levels.clamp(lowest, highest)
        return levels

    def is_within_psnr(levels: Tensor) -> bool:
        if config.min_psnr is None:
            return True
        error = (levels - original_levels).float().square().mean(dtype=torch.float64)
        return psnr(float(error)) >= config.min_psnr

    full = scaled(1.0)
    if is_within_psnr(full):
        return full.byte()
    # bisection of the scale factor
    low = 0.0
    high = 1.0
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if is_within_psnr(scaled(middle)):
            low = middle
        else:
            high = middle
    return scaled(low).byte()

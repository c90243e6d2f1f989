"""SimAC: chosen timesteps and a feature loss on top of ASPL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from models.noise import as_sharded
from rid.pairs.objectives.fine_tuned import FineTunedSurrogate

GradientAt = Callable[[Tensor, int], Tensor]
"""Gradient of the denoising loss at an image, (1, 3, S, S), and a timestep; same shape."""


@dataclass(eq=False)
class SimAC(FineTunedSurrogate):
    """ASPL at timesteps that are chosen for each image, with a feature loss.

    Source: SimAC (arXiv 2312.07865; ``attacks/time_feature.py``). Timesteps with small gradients
    are removed greedily, once for each image. The feature loss is the squared distance between the
    features of protected and clean images in the last up block. We differ: the published program
    adds the feature loss as a number, without its gradient; here it has one. Its features are
    compared with those at the start of a round, ours with those of the clean images.

    Attributes:
        models: Pipeline folders or Hub ids, each with its own surrogate.
        surrogate: Settings of the fine-tuning.
        feature_weight: Weight of the feature loss; 0 leaves it out.
        rounds: Most removals of timesteps.
        candidates: Timesteps that are compared in a removal.
        window: Timesteps that are removed on each side of the one with the smallest gradient.
        selection_budget: Bound of the image's changes while timesteps are chosen, in gray levels.
        selection_step: Step size of these changes, in gray levels.
    """

    name = "simac"
    reads_unet = True

    feature_weight: float = 1.0
    rounds: int = 50
    candidates: int = 5
    window: int = 20
    selection_budget: float = 8.0
    selection_step: float = 0.6375

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        if not torch.equal(self.clean.to(clean), clean):
            self.timesteps: list[Tensor] = []
        super().start_round(clean, generator)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if not self.timesteps:
            self.unprotected = images.detach().clone()
            for image in self.unprotected.split(1):
                self.timesteps.append(self.choose(image, generator))
        if len(images) != len(self.timesteps):
            msg = "SimAC chooses timesteps for each image: it cannot be used with pgd.universal"
            raise ValueError(msg)
        prompt = self.surrogate.instance_prompt
        latents = self.encode(images, generator)
        timesteps = torch.cat([_draw(kept, generator) for kept in self.timesteps])
        timesteps = timesteps.to(latents.device)
        noise = as_sharded(generator).randn(latents)
        if self.feature_weight == 0:
            return self.error(latents, noise, timesteps, prompt)
        with FeatureRecorder(self.trainable["unet"]) as features:
            loss = self.error(latents, noise, timesteps, prompt)
            of_protected = features.take()
            with torch.no_grad():
                clean = self.encode(self.unprotected, generator)
                self.error(clean, noise, timesteps, prompt)
            of_clean = features.take()
        distance = (of_protected - of_clean).square().mean(dim=(1, 2, 3, 4))
        return loss + self.feature_weight * distance

    def choose(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Choose the timesteps of one image, (1, 3, S, S)."""

        def gradient_at(current: Tensor, timestep: int) -> Tensor:
            with torch.enable_grad():
                current = current.detach().requires_grad_(True)
                latents = self.encode(current, generator)
                noise = as_sharded(generator).randn(latents)
                timesteps = torch.tensor([timestep], device=latents.device)
                loss = self.error(latents, noise, timesteps, self.surrogate.instance_prompt)
                return torch.autograd.grad(loss.sum(), current)[0]

        return self.keep(gradient_at, image, self.total, generator)

    @cached_property
    def total(self) -> int:
        """Timesteps of the noise schedule."""
        return len(self.schedule.alphas_cumprod)

    def keep(
        self, gradient_at: GradientAt, image: Tensor, total: int, generator: torch.Generator
    ) -> Tensor:
        """Remove timesteps with small gradients until a tenth is left.

        Args:
            gradient_at: Gradient at an image and a timestep.
            image: (1, 3, S, S) RGB in [0, 1].
            total: Timesteps of the noise schedule.
            generator: Source of the candidates.

        Returns:
            The remaining timesteps, (n,) int64.
        """
        left = torch.ones(total, dtype=torch.bool)
        bound = self.selection_budget / 255
        current = image
        for _ in range(self.rounds):
            times = left.nonzero().flatten()
            if len(times) <= total // 10:
                break
            # compare the gradients of a few timesteps
            drawn = torch.randint(0, len(times), (self.candidates,), generator=generator)
            chosen = times[drawn].tolist()
            sizes = [float(gradient_at(current, time).abs().sum()) for time in chosen]
            # remove the neighborhood of the smallest
            smallest = chosen[sizes.index(min(sizes))]
            center = min(max(smallest, self.window), total - self.window)
            left[max(0, center - self.window) : center + self.window] = False
            # move the image along the largest
            gradient = gradient_at(current, chosen[sizes.index(max(sizes))])
            moved = current + self.selection_step / 255 * gradient.sign()
            current = (image + (moved - image).clamp(-bound, bound)).clamp(0, 1)
        return left.nonzero().flatten()


class FeatureRecorder:
    """Records the outputs of the last convolutions in a UNet's last up block.

    Args:
        unet: The UNet.
    """

    def __init__(self, unet: Any) -> None:
        self.convolutions = [block.conv2 for block in unet.up_blocks[-1].resnets]
        self.recorded: list[Tensor] = []

    def __enter__(self) -> FeatureRecorder:
        self.hooks = [
            layer.register_forward_hook(lambda _, __, output: self.recorded.append(output))
            for layer in self.convolutions
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def take(self) -> Tensor:
        """Return the features of the last forward pass, (B, layers, C, h, w)."""
        taken = torch.stack(self.recorded, dim=1)
        self.recorded = []
        return taken


def _draw(kept: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one of some timesteps, (1,)."""
    return kept[torch.randint(0, len(kept), (1,), generator=generator)]

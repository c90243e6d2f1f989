"""MetaCloak: surrogates from all stages of a training, seen through transformations."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from images.transforms.differentiable import gaussian_blur
from rid.pairs.objectives.fine_tuned import FineTunedSurrogate

SIGMAS = (0.1, 2.0)
"""Range of the blur's standard deviation, in pixels: torchvision's default."""


@dataclass(eq=False)
class MetaCloak(FineTunedSurrogate):
    """Denoising loss of a pool of surrogates, through random transformations.

    Source: MetaCloak (arXiv 2311.13127; ``attacks/algs/metacloak.py``). The pool has the states of
    one training on the clean images, at its start and every ``interval`` steps. Rounds visit the
    states in turn, each for ``interval / advance`` rounds; after each round the state learns the
    protected images for ``advance`` steps. Every gradient goes through a random blur and a random
    flip. We differ: the blur's kernel reaches three standard deviations, where the program's has 7
    pixels; its rotation and inner attack, which its scripts turn off, are left out. One pass over
    the pool takes ``len(pool) * interval / advance`` outer steps.

    Attributes:
        models: Pipeline folders or Hub ids, each with its own pool.
        surrogate: Settings of the fine-tuning; its numbers of steps are not used.
        pool_steps: Steps of the training that the pool is from.
        interval: Steps between two states of the pool.
        advance: Steps on the protected images after each round.
        blur: Blur images by a random width.
        flip: Flip images at random.
    """

    name = "metacloak"

    pool_steps: int = 1000
    interval: int = 200
    advance: int = 2
    blur: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.advance <= self.interval <= self.pool_steps:
            msg = (
                "1 <= advance <= interval <= pool_steps must hold, got "
                f"{self.advance}, {self.interval} and {self.pool_steps}"
            )
            raise ValueError(msg)
        self.pool: list[dict[str, Any]] = []
        self.round = 0

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Make the pool of new images, and go on to its next state when it is due."""
        if self.is_new(clean):
            self.round = 0
            self.pool = [copy.deepcopy(self.trainable.state_dict())]
            for _ in range(self.pool_steps // self.interval):
                self.fine_tune(clean, self.interval, generator)
                self.pool.append(copy.deepcopy(self.trainable.state_dict()))
        stage, repeat = divmod(self.round, self.interval // self.advance)
        if repeat == 0:
            self.trainable.load_state_dict(self.pool[stage % len(self.pool)])
        self.round += 1

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        """Learn the protected images."""
        self.fine_tune(protected, self.advance, generator)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return super().__call__(self.transform(images, generator), generator)

    def transform(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Blur and flip images, all in the same random way.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of the draws.
        """
        width, side = torch.rand(2, generator=generator).tolist()
        if self.blur:
            images = gaussian_blur(images, SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * width)
        return images.flip(-1) if self.flip and side < 0.5 else images

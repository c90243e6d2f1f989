"""CAAT: images and cross-attention weights change in turn, in opposite directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from rid.pairs.objectives.whole_pipeline import PipelineObjective

MAX_NORM = 1.0
"""Bound of the norm of the weights' gradient."""


@dataclass(eq=False)
class CAAT(PipelineObjective):
    """Denoising loss of a model whose cross-attention learns the images at the same time.

    Source: CAAT (arXiv 2404.15081; ``CAAT.py``). Every step raises the loss by the images and
    lowers it by the key and value weights of all cross-attention layers, both with the gradients
    before the step. We differ: the weights are the pipeline's own in place of copies in processors
    of Custom Diffusion, which begin equal; images are neither flipped nor scaled at random.

    Attributes:
        models: Pipeline folders or Hub ids, each attacked by itself.
        prompt: Prompt of the model.
        lr: AdamW's learning rate.
    """

    name = "caat"
    reads_unet = True

    models: list[str]
    prompt: str = "a photo of a person"
    lr: float = 1e-5

    @cached_property
    def key_values(self) -> list[nn.Parameter]:
        """Key and value weights of all cross-attention layers."""
        weights: list[nn.Parameter] = []
        self.trainable.requires_grad_(False)
        for name, weight in self.trainable["unet"].named_parameters():
            if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
                weight.requires_grad_(True)
                weights.append(weight)
        return weights

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        if self.is_new(clean):
            self.optimizer = torch.optim.AdamW(self.key_values, lr=self.lr, weight_decay=1e-2)
            self.gradients: tuple[Tensor, ...] = ()

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        self.learn()
        loss = self.denoising_loss(images, self.prompt, generator)
        if torch.is_grad_enabled():
            # the images' gradient needs the same weights, so they move before the next step
            self.gradients = torch.autograd.grad(loss.mean(), self.key_values, retain_graph=True)
        return loss

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        self.learn()

    def learn(self) -> None:
        """Move the weights by the gradients of the last step."""
        if not self.gradients:
            return
        for weight, gradient in zip(self.key_values, self.gradients, strict=True):
            weight.grad = gradient
        nn.utils.clip_grad_norm_(self.key_values, MAX_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.gradients = ()

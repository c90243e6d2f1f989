"""ASPL and FSMG: PGD against a fine-tuned surrogate (arXiv 2303.15433)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from rid.pairs.objectives.whole_pipeline import PipelineObjective

CLASS_IMAGES_PER_CALL = 8


@dataclass(frozen=True)
class SurrogateConfig:
    """Settings of the surrogate's DreamBooth fine-tuning.

    The defaults are those of Anti-DreamBooth's ASPL scripts (arXiv 2303.15433).

    Attributes:
        warmup_steps: Warm-up steps on the clean images before the first round; FSMG uses 1000, and
            0 steps per round.
        steps: Steps on the clean images before each round, and on the protected ones after it.
        lr: AdamW's learning rate; its moments are reset before each training.
        train_text_encoder: Also train the CLIP text encoders.
        instance_prompt: Prompt of the person's images.
        class_prompt: Prompt of the prior-preservation images.
        prior_weight: Weight of the prior-preservation loss; 0 turns it off.
        class_images: Number of prior-preservation images to generate, once.
        sample_steps: DDIM steps per generated image.
        guidance: Classifier-free guidance scale of generated images.
    """

    warmup_steps: int = 0
    steps: int = 3
    lr: float = 5e-7
    train_text_encoder: bool = True
    instance_prompt: str = "a photo of sks person"
    class_prompt: str = "a photo of person"
    prior_weight: float = 1.0
    class_images: int = 200
    sample_steps: int = 50
    guidance: float = 7.5


@dataclass(eq=False)
class FineTunedSurrogate(PipelineObjective):
    """Denoising loss of a fine-tuned model: ASPL and FSMG.

    Each round fine-tunes on the clean images, runs PGD, restores the weights, then fine-tunes on
    the protected images. New clean images reset the model to its initial weights.

    Source: Anti-DreamBooth (arXiv 2303.15433; ``attacks/aspl.py`` and ``attacks/fsmg.py``). We
    differ: weights are in float32, since those of ASPL's program, in bfloat16, hardly change at its
    learning rate; FSMG's surrogate learns one image and one class image a step, where its program
    takes two of each and clips gradients.

    Attributes:
        models: Pipeline folders or Hub ids, each with its own surrogate.
        surrogate: Settings of the fine-tuning.
    """

    name = "surrogate"
    learns = True

    models: list[str]
    surrogate: SurrogateConfig = SurrogateConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.saved_state: dict[str, Any] = {}
        self.class_images: Tensor | None = None

    @cached_property
    def trainable(self) -> nn.ModuleDict:
        for encoder, _ in self.family.clip_encoders:
            self.networks[encoder].requires_grad_(self.surrogate.train_text_encoder)
        return self.networks

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the denoising loss per image, (B,)."""
        return self.denoising_loss(images, self.surrogate.instance_prompt, generator)

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Save the weights, then fine-tune on the clean images."""
        if self.is_new(clean):
            self.fine_tune(clean, self.surrogate.warmup_steps, generator)
        self.saved_state = copy.deepcopy(self.trainable.state_dict())
        self.fine_tune(clean, self.surrogate.steps, generator)

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        """Restore the weights, then fine-tune on the protected images."""
        self.trainable.load_state_dict(self.saved_state)
        self.fine_tune(protected, self.surrogate.steps, generator)

    def fine_tune(self, images: Tensor, steps: int, generator: torch.Generator) -> None:
        """Run DreamBooth, with one instance and one class image per step.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            steps: Optimizer steps.
            generator: Source of timesteps and noise.
        """
        if steps == 0:
            return
        config = self.surrogate
        parameters = [weight for weight in self.trainable.parameters() if weight.requires_grad]
        class_images = self._class_images().to(images) if config.prior_weight else None
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=1e-2)
        with torch.enable_grad():
            for step in range(steps):
                # instance loss
                instance = images[step % len(images)][None]
                loss = self.denoising_loss(instance, config.instance_prompt, generator).mean()
                # prior-preservation loss
                if class_images is not None:
                    prior = class_images[step % len(class_images)][None]
                    prior_loss = self.denoising_loss(prior, config.class_prompt, generator).mean()
                    loss = loss + config.prior_weight * prior_loss
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _class_images(self) -> Tensor:
        """Generate the class images on first use, (N, 3, S, S) in [0, 1].

        The seed is fixed, so that they are the same in every process.
        """
        if self.class_images is None:
            config = self.surrogate
            generator = torch.Generator().manual_seed(0)
            batches = []
            for start in range(0, config.class_images, CLASS_IMAGES_PER_CALL):
                output = self.pipeline(
                    prompt=config.class_prompt,
                    num_images_per_prompt=min(CLASS_IMAGES_PER_CALL, config.class_images - start),
                    num_inference_steps=config.sample_steps,
                    guidance_scale=config.guidance,
                    generator=generator,
                    output_type="pt",
                )
                batches.append(output.images.float().cpu())
            self.class_images = torch.cat(batches)
        return self.class_images

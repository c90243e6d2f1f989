"""ASPL and FSMG: PGD against a fine-tuned surrogate (arXiv 2303.15433)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from models.pipelines import open_pipeline
from rid.losses import diffuse
from rid.noise import draw_noise
from rid.pairs.objective import ModelObjective
from rid.surrogates import tokenize

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
        train_text_encoder: Also train the text encoder.
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
class FineTunedSurrogate(ModelObjective):
    """Denoising loss of a fine-tuned model: ASPL and FSMG.

    Each round fine-tunes on the clean images, runs PGD, restores the weights, then fine-tunes on
    the protected images. New clean images reset the model to its initial weights.

    Source: Anti-DreamBooth (arXiv 2303.15433).

    Attributes:
        models: Pipeline folders or Hub ids, each with its own surrogate.
        surrogate: Settings of the fine-tuning.
    """

    name = "surrogate"
    one_model = True
    learns = True

    models: list[str]
    surrogate: SurrogateConfig = SurrogateConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.saved_state: dict[str, Any] = {}
        self.clean: Tensor | None = None
        self.class_images: Tensor | None = None

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline, opened on first use."""
        (name,) = self.models
        pipeline = open_pipeline(name)
        pipeline.scheduler = DDIMScheduler.from_config(
            pipeline.scheduler.config,
            clip_sample=False,
        )
        pipeline.vae.eval().requires_grad_(False)
        return pipeline

    @cached_property
    def trainable(self) -> nn.ModuleDict:
        """UNet and text encoder."""
        networks = {
            "unet": self.pipeline.unet.eval(),
            "text_encoder": self.pipeline.text_encoder.eval(),
        }
        networks["text_encoder"].requires_grad_(self.surrogate.train_text_encoder)
        return nn.ModuleDict(networks)

    @cached_property
    def schedule(self) -> DDPMScheduler:
        """The noise schedule."""
        return DDPMScheduler.from_config(self.pipeline.scheduler.config)

    @cached_property
    def initial_state(self) -> dict[str, Any]:
        """The weights before all fine-tuning."""
        return copy.deepcopy(self.trainable.state_dict())

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the denoising loss per image, (B,)."""
        return self._loss(images, self.surrogate.instance_prompt, generator)

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Save the weights, then fine-tune on the clean images."""
        initial = self.initial_state
        self.pipeline.to(clean.device)
        if self.clean is None or not torch.equal(self.clean, clean):
            self.clean = clean
            self.trainable.load_state_dict(initial)
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
                loss = self._loss(instance, config.instance_prompt, generator).mean()
                # prior-preservation loss
                if class_images is not None:
                    prior = class_images[step % len(class_images)][None]
                    prior_loss = self._loss(prior, config.class_prompt, generator).mean()
                    loss = loss + config.prior_weight * prior_loss
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _loss(self, images: Tensor, prompt: str, generator: torch.Generator) -> Tensor:
        # diffused latents
        latents = self.pipeline.vae.encode(images * 2 - 1).latent_dist.sample(generator)
        shift = self.pipeline.vae.config.shift_factor or 0.0
        latents = (latents - shift) * self.pipeline.vae.config.scaling_factor
        alphas_cumprod = self.schedule.alphas_cumprod.to(latents.device)
        noise, alpha_bar, timesteps = draw_noise(latents, alphas_cumprod, generator)
        noisy = diffuse(latents, noise, alpha_bar)
        # prompt embeddings
        token_ids = tokenize(self.pipeline.tokenizer, prompt).to(images.device)
        prompt_embeds = self.trainable["text_encoder"](token_ids).last_hidden_state
        prompt_embeds = prompt_embeds.expand(len(images), -1, -1)
        # error of the prediction
        output = self.trainable["unet"](noisy, timesteps, prompt_embeds).sample
        predicts_velocity = self.schedule.config.prediction_type == "v_prediction"
        target = (
            self.schedule.get_velocity(latents, noise, timesteps) if predicts_velocity else noise
        )
        return F.mse_loss(output, target, reduction="none").mean(dim=(1, 2, 3))

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
                    config.class_prompt,
                    num_images_per_prompt=min(CLASS_IMAGES_PER_CALL, config.class_images - start),
                    num_inference_steps=config.sample_steps,
                    guidance_scale=config.guidance,
                    generator=generator,
                    output_type="pt",
                )
                batches.append(output.images.float().cpu())
            self.class_images = torch.cat(batches)
        return self.class_images

"""ASPL and FSMG: PGD against a fine-tuned surrogate (arXiv 2303.15433)."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from models.pipelines import open_pipeline
from rid.losses import diffuse
from rid.noise import draw_noise
from rid.pairs.config import SurrogateConfig
from rid.surrogates import tokenize

CLASS_IMAGES_PER_CALL = 8


class FineTunedSurrogate(nn.Module):
    """PGD objective: denoising loss of a fine-tuned model.

    Each round fine-tunes on the clean images, runs PGD, restores the weights, then fine-tunes on
    the protected images. New clean images reset the model to its initial weights.

    Args:
        name: Pipeline folder or Hub id.
        config: Settings of the fine-tuning.
    """

    def __init__(self, name: str, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config
        pipeline = open_pipeline(name)
        pipeline.scheduler = DDIMScheduler.from_config(
            pipeline.scheduler.config,
            clip_sample=False,
        )
        self.parts = {"pipeline": pipeline}  # hidden from the module tree
        self.vae = pipeline.vae.eval().requires_grad_(False)
        networks = {"unet": pipeline.unet.eval(), "text_encoder": pipeline.text_encoder.eval()}
        self.trainable = nn.ModuleDict(networks)
        self.trainable["text_encoder"].requires_grad_(config.train_text_encoder)
        self.schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.initial_state = copy.deepcopy(self.trainable.state_dict())
        self.saved_state: dict[str, Any] = {}
        self.clean: Tensor | None = None
        self.class_images: Tensor | None = None

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the denoising loss per image, (B,)."""
        return self._loss(images, self.config.instance_prompt, generator)

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Save the weights, then fine-tune on the clean images."""
        self.to(clean.device)
        if self.clean is None or not torch.equal(self.clean, clean):
            self.clean = clean
            self.trainable.load_state_dict(self.initial_state)
            self.fine_tune(clean, self.config.warmup_steps, generator)
        self.saved_state = copy.deepcopy(self.trainable.state_dict())
        self.fine_tune(clean, self.config.steps, generator)

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        """Restore the weights, then fine-tune on the protected images."""
        self.trainable.load_state_dict(self.saved_state)
        self.fine_tune(protected, self.config.steps, generator)

    def fine_tune(self, images: Tensor, steps: int, generator: torch.Generator) -> None:
        """Run DreamBooth, with one instance and one class image per step.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            steps: Optimizer steps.
            generator: Source of timesteps and noise.
        """
        if steps == 0:
            return
        config = self.config
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
        latents = self.vae.encode(images * 2 - 1).latent_dist.sample(generator)
        shift = self.vae.config.shift_factor or 0.0
        latents = (latents - shift) * self.vae.config.scaling_factor
        alphas_cumprod = self.schedule.alphas_cumprod.to(latents.device)
        noise, alpha_bar, timesteps = draw_noise(latents, alphas_cumprod, generator)
        noisy = diffuse(latents, noise, alpha_bar)
        # prompt embeddings
        token_ids = tokenize(self.parts["pipeline"].tokenizer, prompt).to(images.device)
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
            config = self.config
            generator = torch.Generator().manual_seed(0)
            batches = []
            for start in range(0, config.class_images, CLASS_IMAGES_PER_CALL):
                output = self.parts["pipeline"](
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

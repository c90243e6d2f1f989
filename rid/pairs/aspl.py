"""The surrogate of ASPL and FSMG (Anti-DreamBooth, arXiv 2303.15433): a model that learns the pictures while they are attacked."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from models.pipelines import open_pipeline
from rid.ensemble import draw_noise
from rid.losses import diffuse
from rid.pairs.config import SurrogateConfig


class Surrogate(nn.Module):
    """An objective for :func:`rid.pairs.pgd.pgd`: the denoising loss of a model that is fine-tuned between the rounds.

    In a round the model first learns the clean pictures, is climbed, forgets that, and then learns the protected pictures.
    It starts from the untouched model whenever new clean pictures come.

    Args:
        name: Pipeline folder or Hub id.
        config: Its training.
    """

    def __init__(self, name: str, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config
        pipeline = open_pipeline(name)
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
        self.parts = {"pipeline": pipeline}  # hidden from the module tree
        self.vae = pipeline.vae.eval().requires_grad_(False)
        self.learning = nn.ModuleDict({"unet": pipeline.unet.eval(), "text_encoder": pipeline.text_encoder.eval()})
        self.learning["text_encoder"].requires_grad_(config.train_text_encoder)
        self.schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.untouched = copy.deepcopy(self.learning.state_dict())
        self.clean: Tensor | None = None
        self.imagined: dict[str, Any] = {}
        self.class_pictures: Tensor | None = None

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Denoising loss per picture, (B,), under the instance prompt."""
        return self._loss(images, self.config.instance_prompt, generator)

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        """Learn the clean pictures, remembering the state before."""
        self.to(clean.device)
        if self.clean is None or not torch.equal(self.clean, clean):
            self.clean = clean
            self.learning.load_state_dict(self.untouched)
            self.learn(clean, self.config.before, generator)
        self.imagined = copy.deepcopy(self.learning.state_dict())
        self.learn(clean, self.config.steps, generator)

    def end_round(self, protected: Tensor, generator: torch.Generator) -> None:
        """Forget the clean pictures, learn the protected ones."""
        self.learning.load_state_dict(self.imagined)
        self.learn(protected, self.config.steps, generator)

    def learn(self, images: Tensor, steps: int, generator: torch.Generator) -> None:
        """DreamBooth: one picture and one class picture a step, in order."""
        if steps == 0:
            return
        config, trained = self.config, [parameter for parameter in self.learning.parameters() if parameter.requires_grad]
        classes = self._classes().to(images) if config.prior_weight else None
        optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=1e-2)
        with torch.enable_grad():
            for step in range(steps):
                loss = self._loss(images[step % len(images)][None], config.instance_prompt, generator).mean()
                if classes is not None:
                    loss = (
                        loss + config.prior_weight * self._loss(classes[step % len(classes)][None], config.class_prompt, generator).mean()
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _loss(self, images: Tensor, prompt: str, generator: torch.Generator) -> Tensor:
        latents = self.vae.encode(images * 2 - 1).latent_dist.sample(generator)
        latents = (latents - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor
        noise, signal, steps = draw_noise(latents, self.schedule.alphas_cumprod.to(latents.device), generator)
        tokenizer = self.parts["pipeline"].tokenizer
        length = tokenizer.model_max_length
        ids = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
        text = self.learning["text_encoder"](ids.to(images.device)).last_hidden_state.expand(len(images), -1, -1)
        output = self.learning["unet"](diffuse(latents, noise, signal), steps, text).sample
        velocity = self.schedule.config.prediction_type == "v_prediction"
        target = self.schedule.get_velocity(latents, noise, steps) if velocity else noise
        return F.mse_loss(output, target, reduction="none").mean(dim=(1, 2, 3))

    @torch.no_grad()
    def _classes(self) -> Tensor:
        """Class pictures by the untouched model, the same in every process, (class_images, 3, S, S) in [0, 1]; made on first use."""
        if self.class_pictures is None:
            config, made, source = self.config, [], torch.Generator().manual_seed(0)
            for start in range(0, config.class_images, 8):
                output = self.parts["pipeline"](
                    config.class_prompt,
                    num_images_per_prompt=min(8, config.class_images - start),
                    num_inference_steps=config.sample_steps,
                    guidance_scale=config.guidance,
                    generator=source,
                    output_type="pt",
                )
                made.append(output.images.float().cpu())
            self.class_pictures = torch.cat(made)
        return self.class_pictures

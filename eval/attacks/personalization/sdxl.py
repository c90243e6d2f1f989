"""DreamBooth with LoRA on SDXL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from eval.attacks.personalization.methods import DreamBoothLora, DreamBoothLoraConfig
from eval.attacks.personalization.recipe import Precision


@dataclass(frozen=True)
class SDXLDreamBoothLoraConfig(DreamBoothLoraConfig):
    """Settings of DreamBooth with LoRA on SDXL.

    The defaults are RID's released SDXL configuration (arXiv 2412.09844), with the rare token
    "ktn".
    """

    model: str = "stabilityai/stable-diffusion-xl-base-1.0"
    instance_prompt: str = "photo of a {token} person"
    class_prompt: str = "photo of a person"
    token: str = "ktn"
    lr: float = 2e-5
    steps: int = 3000
    class_images: int = 100
    sample_prompts: tuple[str, ...] = ("photo of a {token} person",)
    samples: int = 12
    sample_steps: int = 50
    precision: Precision = "bf16"
    chunk: int = 2
    gradient_checkpointing: bool = True
    rank: int = 32


class SDXLDreamBoothLora(DreamBoothLora):
    """DreamBooth with LoRA on SDXL: trains low-rank updates of attention.

    The prompt names the person by a rare token. Both text encoders stay frozen.
    """

    pipeline_class = StableDiffusionXLPipeline

    @torch.no_grad()
    def unet_conditions(self, prompts: list[str], repeats: int) -> dict[str, Any]:
        text, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        side = self.resolution
        # Original size, crop corner, target size.
        sizes = [[side, side, 0, 0, side, side]]
        size = torch.tensor(sizes, dtype=text.dtype, device=self.device)
        added = {
            "text_embeds": pooled.repeat_interleave(repeats, dim=0),
            "time_ids": size.repeat(len(prompts) * repeats, 1),
        }
        return {
            "encoder_hidden_states": text.repeat_interleave(repeats, dim=0),
            "added_cond_kwargs": added,
        }

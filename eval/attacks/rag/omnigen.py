"""OmniGen, which takes pictures as words of its prompt."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from eval.attacks.rag.generators import Levels, LocalGenerator
from models.drawing import generate_image

IMAGE_TAG = re.compile(r"</?img>|<\|.*?\|>")
"""What OmniGen takes for a picture or a turn where a prompt says it."""


class OmniGenGenerator(LocalGenerator):
    """OmniGen, through diffusers' own pipeline.

    Args:
        model: Pipeline folder or Hub id.
        guidance: Classifier-free guidance scale.
        image_guidance: The same towards the reference.
        steps: Denoising steps.
        side: Height and width of the pictures; a multiple of 16.
        offload: Keep parts on the CPU until they are needed.
        device: Where it runs.
    """

    def __init__(
        self,
        model: str = "Shitao/OmniGen-v1-diffusers",
        guidance: float = 2.5,
        image_guidance: float = 1.6,
        steps: int = 50,
        side: int = 1024,
        offload: bool = False,
        device: str = "cuda",
    ) -> None:
        if side < 16 or side % 16:
            msg = f"side must be a multiple of 16, got {side}"
            raise ValueError(msg)
        self.model, self.guidance, self.image_guidance, self.steps = (
            model,
            guidance,
            image_guidance,
            steps,
        )
        self.side, self.offload, self.device = side, offload, device

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline."""
        from diffusers import OmniGenPipeline

        dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        pipeline = OmniGenPipeline.from_pretrained(self.folder, dtype=dtype)
        pipeline.set_progress_bar_config(disable=True)
        if self.offload:
            pipeline.enable_model_cpu_offload(device=self.device)
            return pipeline
        return pipeline.to(self.device)

    def drawn(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        prompt, caption = IMAGE_TAG.sub("", prompt), IMAGE_TAG.sub("", caption)
        how: dict[str, Any] = (
            {} if reference is None else {"input_images": [Image.fromarray(reference)]}
        )
        shown = "" if reference is None else f"{caption}: <img><|image_1|></img>\n"
        with torch.random.fork_rng([self.device] if self.device.startswith("cuda") else []):
            torch.manual_seed(
                seed
            )  # the reference is encoded with noise that no generator can be given for
            return generate_image(
                self.pipeline,
                shown + prompt,
                seed,
                height=self.side,
                width=self.side,
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                img_guidance_scale=self.image_guidance,
                **how,
            )

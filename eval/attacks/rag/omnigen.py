"""OmniGen, which takes images as tokens of its prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from eval.attacks.rag.generators import LocalGenerator
from images.transforms import RGBImage
from models.drawing import generate_image

IMAGE_TAG = re.compile(r"</?img>|<\|.*?\|>")
"""Parts of a prompt that OmniGen would read as an image or as a turn."""


class OmniGenGenerator(LocalGenerator):
    """OmniGen, through diffusers' own pipeline.

    Args:
        model: Pipeline folder or Hub id.
        guidance: Classifier-free guidance scale of the prompt.
        image_guidance: Classifier-free guidance scale of the reference.
        steps: Denoising steps.
        side: Height and width of the images in pixels; a multiple of 16.
        offload: Keep parts on the CPU until they are needed.
        device: Device of the pipeline, such as ``cpu`` or ``cuda``.
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
        self.model = model
        self.guidance = guidance
        self.image_guidance = image_guidance
        self.steps = steps
        self.side = side
        self.offload = offload
        self.device = device

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline, loaded on first use."""
        from diffusers import OmniGenPipeline

        dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        pipeline = OmniGenPipeline.from_pretrained(self.folder, dtype=dtype)
        pipeline.set_progress_bar_config(disable=True)
        if self.offload:
            pipeline.enable_model_cpu_offload(device=self.device)
            return pipeline
        return pipeline.to(self.device)

    def generate(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        prompt, caption = IMAGE_TAG.sub("", prompt), IMAGE_TAG.sub("", caption)
        options: dict[str, Any] = {
            "height": self.side,
            "width": self.side,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "img_guidance_scale": self.image_guidance,
        }
        if references:
            options["input_images"] = [Image.fromarray(reference) for reference in references]
            tags = (f"<img><|image_{number + 1}|></img>" for number in range(len(references)))
            prompt = f"{caption}: {' '.join(tags)}\n" + prompt
        # The reference is encoded with noise for which the pipeline takes no generator.
        devices = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            return generate_image(self.pipeline, prompt, seed, **options)

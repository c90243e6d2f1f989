"""SDXL with a reference image through IP-Adapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from engine.files import file_digest
from eval.attacks.rag.generators import LocalGenerator
from images.transforms import RGBImage
from models.drawing import generate_image
from models.ip_adapter import adapter_files, adapter_folder, add_adapter

NEGATIVE_PROMPT = "monochrome, low resolution, bad anatomy, worst quality, low quality"


class SdxlGenerator(LocalGenerator):
    """SDXL with IP-Adapter, at the paper's settings (arXiv 2510.12119).

    One copy of the weights serves with and without a reference.

    Args:
        model: SDXL pipeline: folder or Hub id.
        adapter: IP-Adapter: folder or Hub id.
        subfolder: Folder of the adapter's file in it.
        weight_name: Name of the adapter's file.
        image_encoder: Folder of the adapter's image encoder in it; the ``vit-h`` adapters need
            ViT-H.
        scale: Weight of the reference, 0 to 1.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        device: Device of the pipeline, such as ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        model: str = "stabilityai/stable-diffusion-xl-base-1.0",
        adapter: str = "h94/IP-Adapter",
        subfolder: str = "sdxl_models",
        weight_name: str = "ip-adapter-plus_sdxl_vit-h.safetensors",
        image_encoder: str = "models/image_encoder",
        scale: float = 0.5,
        steps: int = 50,
        guidance: float = 5.0,
        device: str = "cuda",
    ) -> None:
        self.model = model
        self.adapter = adapter
        self.subfolder = subfolder
        self.weight_name = weight_name
        self.image_encoder = image_encoder
        self.scale = scale
        self.steps = steps
        self.guidance = guidance
        self.device = device

    @property
    def adapter_parts(self) -> tuple[str, str]:
        """Weights and image encoder in the adapter's folder."""
        return f"{self.subfolder}/{self.weight_name}", self.image_encoder

    @property
    def adapter_folder(self) -> Path:
        """Folder of the adapter."""
        return adapter_folder(self.adapter, *self.adapter_parts)

    @property
    def weights(self) -> list[dict[str, Any]]:
        files = adapter_files(*self.adapter_parts)
        digests = {file: file_digest(self.adapter_folder / file) for file in files}
        return [*super().weights, {"name": self.adapter, "sha256": digests}]

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline with its adapter, loaded on first use."""
        from diffusers import StableDiffusionXLPipeline

        dtype = torch.float32 if self.device == "cpu" else torch.float16
        adapter = self.adapter_folder
        pipeline: Any = StableDiffusionXLPipeline.from_pretrained(self.folder, dtype=dtype)
        add_adapter(pipeline, adapter, *self.adapter_parts)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    def generate(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        pipeline = self.pipeline
        # The adapter needs an image even at scale 0.
        if not references:
            pipeline.set_ip_adapter_scale(0.0)
            images = [Image.new("RGB", (64, 64))]
        else:
            pipeline.set_ip_adapter_scale(self.scale)
            images = [Image.fromarray(reference) for reference in references]
        return generate_image(
            pipeline,
            prompt,
            seed,
            negative_prompt=NEGATIVE_PROMPT,
            ip_adapter_image=[images],
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
        )

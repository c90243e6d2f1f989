"""SDXL with a reference image through IP-Adapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from checkpoints.folders import model_folder
from engine.files import file_digest
from eval.attacks.rag.generators import LocalGenerator
from images.transforms import RGBImage
from models.drawing import generate_image

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
    def adapter_files(self) -> list[str]:
        """Files of the adapter; its repository holds more."""
        return [
            f"{self.subfolder}/{self.weight_name}",
            *(f"{self.image_encoder}/{file}" for file in ("config.json", "model.safetensors")),
        ]

    @property
    def adapter_folder(self) -> Path:
        """Folder of the adapter."""
        return model_folder(self.adapter, *self.adapter_files, patterns=self.adapter_files)

    @property
    def weights(self) -> list[dict[str, Any]]:
        digests = {file: file_digest(self.adapter_folder / file) for file in self.adapter_files}
        return [*super().weights, {"name": self.adapter, "sha256": digests}]

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline with its adapter, loaded on first use."""
        from diffusers import StableDiffusionXLPipeline
        from transformers import CLIPVisionModelWithProjection

        dtype = torch.float32 if self.device == "cpu" else torch.float16
        adapter = self.adapter_folder
        encoder = CLIPVisionModelWithProjection.from_pretrained(
            adapter / self.image_encoder, dtype=dtype
        )
        pipeline = StableDiffusionXLPipeline.from_pretrained(
            self.folder, image_encoder=encoder, dtype=dtype
        )
        pipeline.load_ip_adapter(
            str(adapter),
            subfolder=self.subfolder,
            weight_name=self.weight_name,
            image_encoder_folder=None,
        )
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

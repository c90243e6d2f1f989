"""SDXL that goes by a picture through IP-Adapter."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from checkpoints.folders import model_folder
from engine.files import file_digest
from eval.attacks.rag.generators import Levels, LocalGenerator
from models.drawing import generate_image

NEGATIVE = "monochrome, low resolution, bad anatomy, worst quality, low quality"


class SdxlGenerator(LocalGenerator):
    """SDXL with IP-Adapter, the paper's settings; one copy of the weights serves with and without a reference.

    Args:
        model: SDXL pipeline.
        adapter: IP-Adapter repository or folder.
        subfolder: The adapter's place in it.
        weight_name: The adapter's file.
        image_encoder: The adapter's image encoder in it; the ``vit-h`` adapters need the ViT-H one.
        scale: How strongly the reference counts.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        device: Where it runs.
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
        self.model, self.adapter, self.subfolder, self.weight_name, self.image_encoder = (
            model,
            adapter,
            subfolder,
            weight_name,
            image_encoder,
        )
        self.scale, self.steps, self.guidance, self.device = scale, steps, guidance, device

    @property
    def adapter_files(self) -> list[str]:
        """What is needed of the adapter's repository, which holds many."""
        return [
            f"{self.subfolder}/{self.weight_name}",
            *(f"{self.image_encoder}/{file}" for file in ("config.json", "model.safetensors")),
        ]

    @property
    def adapter_folder(self) -> Path:
        """The adapter's folder."""
        return model_folder(self.adapter, *self.adapter_files, patterns=self.adapter_files)

    @property
    def weights(self) -> list[dict[str, Any]]:
        digests = {file: file_digest(self.adapter_folder / file) for file in self.adapter_files}
        return [*super().weights, {"name": self.adapter, "sha256": digests}]

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline with its adapter."""
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

    def drawn(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        pipeline = self.pipeline
        pipeline.set_ip_adapter_scale(0.0 if reference is None else self.scale)
        image = (
            Image.new("RGB", (64, 64)) if reference is None else Image.fromarray(reference)
        )  # the adapter wants one at any scale
        return generate_image(
            pipeline,
            prompt,
            seed,
            negative_prompt=NEGATIVE,
            ip_adapter_image=image,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
        )

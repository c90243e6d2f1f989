"""Families of latent diffusion models: what is done around the denoising network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from checkpoints.whole import absent_parts, explaining_load_errors
from engine.records import read_json
from models.denoisers.schedules import DDPMSchedule, FlowSchedule, NoiseSchedule

Conditions = dict[str, Tensor]
"""Encoded prompts by name; the first dimension of each tensor counts the prompts."""

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Projections of an attention layer."""

JOINT_ATTENTION = (
    *(f"attn.{name}" for name in ATTENTION),
    *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out"),
)
"""Projections of attention between an image's and a text's stream."""


class Family(ABC):
    """A family of latent diffusion models, for one pipeline.

    Args:
        folder: Folder of the pipeline.

    Attributes:
        pipeline_class: The text-to-image pipeline of diffusers.
        network_class: Class of the denoising network.
        network: Name of the network in the pipeline.
        lora_targets: Layers that LoRA updates: the projections of attention.
        clip_encoders: Names of the CLIP text encoders and of their tokenizers in the pipeline.
        takes_negative_prompts: The pipeline samples with a negative prompt.
        text_dtype: Precision of the text encoders in :meth:`encode_apart`.
    """

    pipeline_class: ClassVar[Any]
    network_class: ClassVar[Any]
    network: ClassVar[str] = "transformer"
    lora_targets: ClassVar[tuple[str, ...]] = JOINT_ATTENTION
    clip_encoders: ClassVar[tuple[tuple[str, str], ...]] = ()
    takes_negative_prompts: ClassVar[bool] = True
    text_dtype: ClassVar[torch.dtype] = torch.float32

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @abstractmethod
    def encode(self, pipeline: Any, prompts: list[str]) -> Conditions:
        """Encode prompts with a pipeline's text encoders.

        Args:
            pipeline: The pipeline; its text encoders and tokenizers are used.
            prompts: The prompts.
        """

    @abstractmethod
    def predict(
        self, network: Any, latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> Tensor:
        """Run the denoising network.

        Args:
            network: The network.
            latents: Noisy latents as the network was trained, (B, C, h, w).
            timesteps: On the scale from 0 to 1000, (B,).
            conditions: Encoded prompts, one for each image.

        Returns:
            The network's output, (B, C, h, w).
        """

    @abstractmethod
    def side(self, pipeline: Any) -> int:
        """Return the side of the model's own images, in pixels."""

    def schedule(self) -> NoiseSchedule:
        """Read the noise schedule of the model's training.

        Raises:
            ValueError: If the network predicts what no schedule knows.
        """
        file = self.folder / "scheduler" / "scheduler_config.json"
        config = read_json(file, dict[str, Any], "get the model again")
        if str(config.get("_class_name")).startswith("FlowMatch"):
            return FlowSchedule.of(config)
        with explaining_load_errors(self.folder):
            scheduler = DDPMScheduler.from_pretrained(self.folder, subfolder="scheduler")
        return DDPMSchedule(scheduler.alphas_cumprod, scheduler.config.prediction_type)

    def open_network(self, dtype: torch.dtype) -> Any:
        """Open the denoising network, frozen and in evaluation mode."""
        with explaining_load_errors(self.folder):
            network = self.network_class.from_pretrained(
                self.folder, subfolder=self.network, dtype=dtype
            )
        return network.eval().requires_grad_(False)

    @torch.no_grad()
    def encode_apart(self, prompts: list[str]) -> Conditions:
        """Open the text encoders, encode prompts, and free the encoders."""
        absent = absent_parts(self.folder) | self.without_images()
        with explaining_load_errors(self.folder):
            pipeline = self.pipeline_class.from_pretrained(
                self.folder, dtype=self.text_dtype, **absent
            )
            return self.encode(pipeline, prompts)

    def without_images(self) -> dict[str, Any]:
        """List the parts of the pipeline that encode no prompts, as arguments that omit them."""
        optional = set(self.pipeline_class._optional_components)
        parts = {self.network, "vae", *(optional & {"safety_checker", "image_encoder"})}
        return dict.fromkeys(parts)

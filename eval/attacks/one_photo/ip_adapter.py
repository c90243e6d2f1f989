"""IP-Adapter: one image as a prompt of a text-to-image model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from checkpoints.folders import pipeline_folder
from eval.attacks.single_image import Sampling, SingleImageAttack, pillow_image
from models.denoisers import open_family
from models.ip_adapter import adapter_folder, add_adapter
from models.pipelines import open_pipeline

TAKERS = (StableDiffusionPipeline, StableDiffusionXLPipeline)
"""Pipelines that take these adapters."""


class IPAdapter(SingleImageAttack):
    """IP-Adapter (arXiv 2308.06721): each image in turn is the image prompt.

    The adapter's file decides between the plain method (one embedding of the image) and ``plus``
    (the image encoder's tokens).

    Args:
        model: Pipeline folder or Hub id of Stable Diffusion 1.x, 2.x or XL.
        adapter: Folder or Hub id of the adapter.
        file: The adapter's weights in that folder, such as
            ``models/ip-adapter-plus-face_sd15.safetensors``.
        image_encoder: Folder of the image encoder in that folder.
        prompts: Text prompts, each beside the image.
        scale: Weight of the image prompt, at least 0.
        sampling: Settings of the generated images.

    Raises:
        ValueError: If there is no prompt, or the scale is negative; on first use, if the pipeline
            is of another kind.
    """

    def __init__(
        self,
        model: str = "stable-diffusion-v1-5/stable-diffusion-v1-5",
        adapter: str = "h94/IP-Adapter",
        file: str = "models/ip-adapter_sd15.safetensors",
        image_encoder: str = "models/image_encoder",
        prompts: Sequence[str] = ("a photo of a person",),
        scale: float = 1.0,
        sampling: Sampling = Sampling(),
    ) -> None:
        if scale < 0:
            msg = f"scale is the weight of the image prompt and at least 0, got {scale}"
            raise ValueError(msg)
        super().__init__(model, prompts, sampling)
        self.adapter = adapter
        self.file = file
        self.image_encoder: str | None = image_encoder
        self.scale = scale

    @cached_property
    def pipeline(self) -> Any:
        """The model with the adapter, on the attack's device, loaded on first use.

        Raises:
            FileNotFoundError: If the model or the adapter cannot be found.
            ValueError: If the pipeline takes no such adapter.
        """
        kind = open_family(self.model).pipeline_class
        if not issubclass(kind, TAKERS):
            msg = f"{self.model} is a {kind.__name__}; an IP-Adapter needs one of SD 1.x, 2.x or XL"
            raise ValueError(msg)
        adapter = adapter_folder(self.adapter, self.file, self.image_encoder)
        dtype = self.sampling.dtype
        pipeline = open_pipeline(self.model, kind, dtype).to(dtype)
        add_adapter(pipeline, adapter, self.file, self.image_encoder)
        pipeline.set_ip_adapter_scale(self.scale)
        return pipeline.to(self.device)

    def files(self) -> dict[str, tuple[str, Path]]:
        adapter = adapter_folder(self.adapter, self.file, self.image_encoder)
        files = {
            "attacked": (self.model, Path(pipeline_folder(self.model))),
            "adapter": (self.adapter, adapter / self.file),
        }
        if self.image_encoder is not None:
            files["image encoder"] = (self.adapter, adapter / self.image_encoder)
        return files

    def prompts(self, images: int) -> list[str]:
        of_image = [prompt for prompt in self.requests for _ in range(self.sampling.samples)]
        return of_image * images

    def reference(self, image: Tensor) -> dict[str, Any]:
        """Return the pipeline's arguments that carry the image, (3, S, S) in [0, 1]."""
        return {"ip_adapter_image": pillow_image(image)}

    def generate(self, image: Tensor, request: str) -> Tensor:
        generators = self.sampling.generators()
        images: Tensor = self.pipeline(
            request,
            num_images_per_prompt=len(generators),
            generator=generators,
            **self.reference(image),
            **self.sampling.arguments(),
        ).images
        return images

"""Who draws, with and without a picture to go by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from numpy.typing import NDArray
from PIL import Image

from checkpoints.folders import model_folder
from checkpoints.pipelines import open_pipeline
from datamodules.images import decode_photo, encode_as
from sentinels.client import Client

Levels = NDArray[np.uint8]

NEGATIVE = "monochrome, low resolution, bad anatomy, worst quality, low quality"


class Generator(ABC):
    """Draws pictures (H, W, 3) uint8. Models are loaded once, on first use."""

    client: Client | None = None
    needs_service = False
    model: str | None = None

    def settings(self) -> dict[str, Any]:
        """What decides the pictures."""
        plain = {key: value for key, value in vars(self).items() if isinstance(value, str | int | float | bool)}
        return {"generator": type(self).__name__} | plain | ({"service": self.client.service.settings()} if self.client else {})

    @abstractmethod
    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        """A picture.

        Args:
            prompt: What the user asks for.
            reference: A picture that was found; None draws from the prompt alone.
            caption: What the reference was looked for by.
            seed: Of the noise.
        """


class ImageToImageGenerator(Generator):
    """A latent-diffusion pipeline that starts from the reference: img2img; the embedded world's generator.

    Args:
        model: Pipeline folder or Hub id.
        strength: Share of the schedule that is run on the reference, above 0 and at most 1.
        steps: Of the whole schedule.
        guidance: Classifier-free guidance scale.
        device: Where it runs.
    """

    model: str

    def __init__(self, model: str, strength: float = 0.6, steps: int = 25, guidance: float = 3.0, device: str = "cpu") -> None:
        if not 0 < strength <= 1 or int(steps * strength) < 1:
            msg = f"strength is above 0 and at most 1, and strength x steps at least 1, got {strength} and {steps}"
            raise ValueError(msg)
        self.model, self.strength, self.steps, self.guidance, self.device = model, strength, steps, guidance, device

    @cached_property
    def pipelines(self) -> tuple[Any, Any]:
        """Text-to-image and img2img over the same weights."""
        from diffusers import StableDiffusionImg2ImgPipeline

        plain = open_pipeline(self.model).to(self.device)
        guided: Any = StableDiffusionImg2ImgPipeline(**plain.components)
        guided.set_progress_bar_config(disable=True)
        return plain, guided

    @torch.no_grad()
    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        plain, guided = self.pipelines
        generator = torch.Generator().manual_seed(seed)
        how: dict[str, Any] = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "generator": generator,
            "output_type": "np",
        }
        with _without_warnings():  # of every prompt that is longer than the text encoder takes
            if reference is None:
                return to_levels(plain(prompt, **how).images[0])
            side = plain.unet.config.sample_size * plain.vae_scale_factor
            start = Image.fromarray(reference).resize((side, side), Image.Resampling.LANCZOS)
            return to_levels(guided(prompt, image=start, strength=self.strength, **how).images[0])


class SdxlGenerator(Generator):
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

    model: str

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

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline with its adapter."""
        from diffusers import StableDiffusionXLPipeline
        from transformers import CLIPVisionModelWithProjection

        dtype = torch.float32 if self.device == "cpu" else torch.float16
        adapter = model_folder(self.adapter, f"{self.subfolder}/{self.weight_name}", f"{self.image_encoder}/config.json")
        encoder = CLIPVisionModelWithProjection.from_pretrained(adapter / self.image_encoder, dtype=dtype)
        folder = model_folder(self.model, "model_index.json")
        pipeline = StableDiffusionXLPipeline.from_pretrained(folder, image_encoder=encoder, dtype=dtype)
        pipeline.load_ip_adapter(str(adapter), subfolder=self.subfolder, weight_name=self.weight_name, image_encoder_folder=None)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    @torch.no_grad()
    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        pipeline = self.pipeline
        pipeline.set_ip_adapter_scale(0.0 if reference is None else self.scale)
        image = Image.new("RGB", (64, 64)) if reference is None else Image.fromarray(reference)  # the adapter wants one at any scale
        drawn = pipeline(
            prompt,
            negative_prompt=NEGATIVE,
            ip_adapter_image=image,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        return to_levels(drawn)


class OmniGenGenerator(Generator):
    """OmniGen, through diffusers' own pipeline.

    Args:
        model: Pipeline folder or Hub id.
        guidance: Classifier-free guidance scale.
        image_guidance: The same towards the reference.
        steps: Denoising steps.
        side: Height and width of the pictures.
        offload: Keep parts on the CPU until they are needed.
        device: Where it runs.
    """

    model: str

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
        self.model, self.guidance, self.image_guidance, self.steps = model, guidance, image_guidance, steps
        self.side, self.offload, self.device = side, offload, device

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline."""
        from diffusers import OmniGenPipeline

        dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        pipeline = OmniGenPipeline.from_pretrained(model_folder(self.model, "model_index.json"), dtype=dtype)
        pipeline.set_progress_bar_config(disable=True)
        if self.offload:
            pipeline.enable_model_cpu_offload(device=self.device)
            return pipeline
        return pipeline.to(self.device)

    @torch.no_grad()
    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        how: dict[str, Any] = {} if reference is None else {"input_images": [Image.fromarray(reference)]}
        shown = "" if reference is None else f"{caption}: <img><|image_1|></img>\n"
        drawn = self.pipeline(
            shown + prompt,
            height=self.side,
            width=self.side,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            img_guidance_scale=self.image_guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
            **how,
        ).images[0]
        return to_levels(drawn)


class ServiceGenerator(Generator):
    """A service that draws, through the Images API or in a chat.

    Args:
        size: Of the pictures, as the service takes it.
    """

    needs_service = True

    def __init__(self, size: str = "1024x1024") -> None:
        self.size = size

    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        assert self.client is not None
        references = [] if reference is None else [encode_as(reference, "png")]
        content = await self.client.draw(prompt, references, self.size, salt=str(seed))
        return decode_photo(BytesIO(content), "the picture that the service drew").rgb


@contextmanager
def _without_warnings() -> Iterator[None]:
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def to_levels(drawn: NDArray[np.float32]) -> Levels:
    """Grey levels of a drawn picture in [0, 1]."""
    return np.clip(np.nan_to_num(drawn) * 255, 0, 255).round().astype(np.uint8)

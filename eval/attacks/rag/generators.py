"""Image generators, with and without a reference image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from diffusers.utils import logging
from PIL import Image

from checkpoints.folders import PIPELINE_FILES, model_folder, pipeline_folder
from engine.manifest import fingerprint
from eval.attacks.strength import check_strength
from images.io import decode_photo, encode_as
from images.transforms import RGBImage
from models.drawing import check_device, generate_image, run_in_turn
from models.pipelines import open_pipeline
from sentinels.client import Client


class Generator(ABC):
    """Generates images, (H, W, 3) uint8.

    Models are loaded once, on first use.
    """

    client: Client | None = None
    needs_service = False
    model: str | None = None

    def settings(self) -> dict[str, Any]:
        """Settings that decide the images, for the record."""
        settings: dict[str, Any] = {"generator": type(self).__name__}
        for name, value in vars(self).items():
            if isinstance(value, str | int | float | bool):
                settings[name] = value
        if self.client:
            settings["service"] = self.client.service.settings()
        return settings

    def check(self) -> None:
        """Check that the generator can run on this machine.

        Raises:
            ValueError: If it cannot.
        """
        return

    @abstractmethod
    async def draw(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        """Generate an image.

        Args:
            prompt: The user's prompt.
            references: Retrieved images, (H, W, 3), the best first; none generates from the prompt
                alone.
            caption: Caption by which the first was retrieved.
            seed: Seed of the noise.
        """


class LocalGenerator(Generator):
    """Generates on this machine, one image at a time.

    See :func:`models.drawing.run_in_turn`.
    """

    model: str
    device: str

    def check(self) -> None:
        check_device(self.device)

    @property
    def folder(self) -> Path:
        """Folder of the pipeline."""
        return model_folder(self.model, "model_index.json", patterns=PIPELINE_FILES)

    @property
    def weights(self) -> list[dict[str, Any]]:
        """Names and hashes of the weights."""
        return [fingerprint(self.model, self.folder)]

    @abstractmethod
    def generate(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        """Generate an image synchronously; arguments as in :meth:`draw`.

        Args:
            prompt: The user's prompt.
            references: Retrieved images, (H, W, 3), or none.
            caption: Caption by which the first was retrieved.
            seed: Seed of the noise.
        """

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"weights": self.weights}

    async def draw(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        return await run_in_turn(lambda: self.generate(prompt, references, caption, seed))


class ImageToImageGenerator(LocalGenerator):
    """Latent-diffusion pipeline that starts from the first reference (img2img).

    Args:
        model: Pipeline folder or Hub id.
        strength: Share of the schedule that is run on the reference, above 0 and at most 1.
        steps: Steps of the whole schedule.
        guidance: Classifier-free guidance scale.
        device: Device of the pipeline, such as ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        model: str,
        strength: float = 0.6,
        steps: int = 25,
        guidance: float = 3.0,
        device: str = "cpu",
    ) -> None:
        check_strength(strength, steps)
        self.model = model
        self.strength = strength
        self.steps = steps
        self.guidance = guidance
        self.device = device

    @property
    def folder(self) -> Path:
        return Path(pipeline_folder(self.model))

    @cached_property
    def pipelines(self) -> tuple[Any, Any]:
        """Text-to-image and img2img pipelines with the same weights."""
        from diffusers import StableDiffusionImg2ImgPipeline

        text_to_image = open_pipeline(self.model).to(self.device)
        img2img: Any = StableDiffusionImg2ImgPipeline(**text_to_image.components)
        img2img.set_progress_bar_config(disable=True)
        return text_to_image, img2img

    def generate(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        text_to_image, img2img = self.pipelines
        options: dict[str, Any] = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }
        # diffusers warns about every prompt that is longer than the text encoder takes.
        with _diffusers_errors_only():
            if not references:
                return generate_image(text_to_image, prompt, seed, **options)
            side = text_to_image.unet.config.sample_size * text_to_image.vae_scale_factor
            start = Image.fromarray(references[0]).resize((side, side), Image.Resampling.LANCZOS)
            options |= {"image": start, "strength": self.strength}
            return generate_image(img2img, prompt, seed, **options)


class ServiceGenerator(Generator):
    """Generates by a service: Images API or chat.

    Args:
        size: Size of the images, in the service's format.
    """

    needs_service = True

    def __init__(self, size: str = "1024x1024") -> None:
        self.size = size

    async def draw(
        self, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        assert self.client is not None
        files = [encode_as(reference, "png") for reference in references]
        content = await self.client.draw(prompt, files, self.size, salt=str(seed))
        return decode_photo(BytesIO(content), "the service's image").rgb


@contextmanager
def _diffusers_errors_only() -> Iterator[None]:
    """Silence warnings of diffusers within the context."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)

"""Who draws, with and without a picture to go by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from diffusers.utils import logging
from numpy.typing import NDArray
from PIL import Image

from checkpoints.folders import PIPELINE_FILES, model_folder, pipeline_folder
from engine.manifest import fingerprint
from images.io import decode_photo, encode_as
from models.drawing import check_device, generate_image, run_in_turn
from models.pipelines import open_pipeline
from sentinels.client import Client

Levels = NDArray[np.uint8]


class Generator(ABC):
    """Draws pictures (H, W, 3) uint8. Models are loaded once, on first use."""

    client: Client | None = None
    needs_service = False
    model: str | None = None

    def settings(self) -> dict[str, Any]:
        """What decides the pictures."""
        plain = {
            key: value
            for key, value in vars(self).items()
            if isinstance(value, str | int | float | bool)
        }
        return (
            {"generator": type(self).__name__}
            | plain
            | ({"service": self.client.service.settings()} if self.client else {})
        )

    def check(self) -> None:
        """Before a run: can it draw here?

        Raises:
            ValueError: If not.
        """
        return

    @abstractmethod
    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        """A picture.

        Args:
            prompt: What the user asks for.
            reference: A picture that was found; None draws from the prompt alone.
            caption: What the reference was looked for by.
            seed: Of the noise.
        """


class LocalGenerator(Generator):
    """Draws on this machine; see :func:`models.drawing.run_in_turn`."""

    model: str
    device: str

    def check(self) -> None:
        check_device(self.device)

    @property
    def folder(self) -> Path:
        """The pipeline's folder."""
        return model_folder(self.model, "model_index.json", patterns=PIPELINE_FILES)

    @property
    def weights(self) -> list[dict[str, Any]]:
        """Which weights draw."""
        return [fingerprint(self.model, self.folder)]

    @abstractmethod
    def drawn(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        """As :meth:`draw`, at once."""

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"weights": self.weights}

    async def draw(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        return await run_in_turn(lambda: self.drawn(prompt, reference, caption, seed))


class ImageToImageGenerator(LocalGenerator):
    """A latent-diffusion pipeline that starts from the reference: img2img; the embedded world's generator.

    Args:
        model: Pipeline folder or Hub id.
        strength: Share of the schedule that is run on the reference, above 0 and at most 1.
        steps: Of the whole schedule.
        guidance: Classifier-free guidance scale.
        device: Where it runs.
    """

    def __init__(
        self,
        model: str,
        strength: float = 0.6,
        steps: int = 25,
        guidance: float = 3.0,
        device: str = "cpu",
    ) -> None:
        if not 0 < strength <= 1 or int(steps * strength) < 1:
            msg = f"strength is above 0 and at most 1, and strength x steps at least 1, got {strength} and {steps}"
            raise ValueError(msg)
        self.model, self.strength, self.steps, self.guidance, self.device = (
            model,
            strength,
            steps,
            guidance,
            device,
        )

    @property
    def folder(self) -> Path:
        return Path(pipeline_folder(self.model))

    @cached_property
    def pipelines(self) -> tuple[Any, Any]:
        """Text-to-image and img2img over the same weights."""
        from diffusers import StableDiffusionImg2ImgPipeline

        plain = open_pipeline(self.model).to(self.device)
        guided: Any = StableDiffusionImg2ImgPipeline(**plain.components)
        guided.set_progress_bar_config(disable=True)
        return plain, guided

    def drawn(self, prompt: str, reference: Levels | None, caption: str, seed: int) -> Levels:
        plain, guided = self.pipelines
        how: dict[str, Any] = {"num_inference_steps": self.steps, "guidance_scale": self.guidance}
        with _without_warnings():  # of every prompt that is longer than the text encoder takes
            if reference is None:
                return generate_image(plain, prompt, seed, **how)
            side = plain.unet.config.sample_size * plain.vae_scale_factor
            start = Image.fromarray(reference).resize((side, side), Image.Resampling.LANCZOS)
            return generate_image(guided, prompt, seed, image=start, strength=self.strength, **how)


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

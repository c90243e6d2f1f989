"""Planters: make the sentinel of a source, by lettering it or by generating a new image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from checkpoints.folders import PIPELINE_FILES, model_folder
from checkpoints.whole import absent_parts, explaining_load_errors
from engine.manifest import fingerprint
from images.io import decode_photo, encode_as
from images.transforms.geometry import cover_crop
from images.transforms.protocol import RGBImage
from models.drawing import check_device, generate_image, run_in_turn
from sentinels.client import Client
from sentinels.describe import ask_description, generation_prompt, measured_description
from sentinels.plate import PlateStyle, set_key
from sentinels.shapes import draw_things
from sentinels.word_keys import ASKED, DRAWN, Vocabulary, is_word_key, parse_key


@dataclass(frozen=True)
class Planted:
    """A candidate for a sentinel.

    Attributes:
        rgb: The image at the source's size, (H, W, 3) uint8.
        description: The source's description; empty without one.
        prompt: The generator's prompt; empty without one.
        plate: Corners of the key's plate, x and y in pixels, clockwise from the top left; None if
            the planter does not know them.
    """

    rgb: RGBImage
    description: str = ""
    prompt: str = ""
    plate: list[list[float]] | None = None


class Planter(Protocol):
    """Interface of planters."""

    vocabulary: ClassVar[Vocabulary]
    """Words that keys of words may have."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine the candidates, for record and manifest."""

    async def plant(self, source: RGBImage, key: str, seed: int, attempt: int) -> Planted:
        """Make a candidate.

        Args:
            source: The source, (H, W, 3) uint8.
            key: Letters, or words of things, to show.
            seed: Seed of the source.
            attempt: Number of the attempt from 0; each gives another candidate.

        Raises:
            ValueError: If no candidate can be made.
        """


@dataclass(frozen=True)
class LocalPlanter:
    """Letter or draw the key into the source itself, without a model or a service.

    Args:
        style: Ranges of size, tilt and contrast.
    """

    vocabulary: ClassVar[Vocabulary] = DRAWN

    style: PlateStyle = PlateStyle()

    def settings(self) -> dict[str, Any]:
        return {"planter": "local", "style": asdict(self.style)}

    async def plant(self, source: RGBImage, key: str, seed: int, attempt: int) -> Planted:
        rng = np.random.default_rng([31, seed, attempt])
        if is_word_key(key):
            return Planted(draw_things(source, parse_key(key), rng))
        plate = set_key(source, key, rng, self.style)
        return Planted(plate.rgb, plate=np.round(plate.corners.astype(float), 1).tolist())


class DiffusionPlanter:
    """Generate a new image with a text-to-image pipeline of diffusers.

    The model must be able to render letters.

    Args:
        model: Folder or Hub id of the pipeline.
        client: Service that describes the source; None measures colors and size instead.
        steps: Denoising steps, at least 1.
        guidance: Classifier-free guidance scale.
        device: PyTorch device, such as "cpu" or "cuda:0".

    Raises:
        ValueError: If the device does not exist.
    """

    vocabulary: ClassVar[Vocabulary] = ASKED

    def __init__(
        self,
        model: str,
        client: Client | None = None,
        steps: int = 30,
        guidance: float = 5.0,
        device: str = "cpu",
    ) -> None:
        check_device(device)
        self.model = model
        self.client = client
        self.steps = steps
        self.guidance = guidance
        self.device = device

    def settings(self) -> dict[str, Any]:
        settings = {
            "planter": "diffusion",
            "model": fingerprint(self.model, self.folder),
            "steps": self.steps,
            "guidance": self.guidance,
        }
        if self.client:
            settings["service"] = self.client.service.settings()
        return settings

    @cached_property
    def folder(self) -> Any:
        """Return the pipeline's folder; a Hub id is downloaded."""
        return model_folder(self.model, "model_index.json", patterns=PIPELINE_FILES)

    @cached_property
    def pipeline(self) -> Any:
        """Return the pipeline, loaded on first use."""
        from diffusers import AutoPipelineForText2Image

        dtype = torch.float32 if self.device == "cpu" else torch.float16
        with explaining_load_errors(self.folder):
            pipeline = AutoPipelineForText2Image.from_pretrained(
                self.folder, dtype=dtype, **absent_parts(self.folder)
            ).to(self.device)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    async def plant(self, source: RGBImage, key: str, seed: int, attempt: int) -> Planted:
        height, width = source.shape[:2]
        if self.client:
            description = await ask_description(self.client, encode_as(source, "jpg"), attempt)
        else:
            description = measured_description(source)
        prompt = generation_prompt(description, key, (width, height))
        image = await run_in_turn(lambda: self._generate(prompt, seed * 1009 + attempt))
        return Planted(cover_crop(image, height, width, "lanczos"), description, prompt)

    def _generate(self, prompt: str, seed: int) -> RGBImage:
        """Generate an image (H, W, 3) of the pipeline's size."""
        return generate_image(
            self.pipeline,
            prompt,
            seed,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
        )


class ServicePlanter:
    """Describe the source and generate the sentinel with a service.

    Args:
        client: The service.
        size: Size of generated images as the service takes it, such as "1024x1024"; they are
            resized to the source afterwards. None takes the nearest shape of three.
    """

    vocabulary: ClassVar[Vocabulary] = ASKED

    def __init__(self, client: Client, size: str | None = None) -> None:
        self.client = client
        self.size = size

    def settings(self) -> dict[str, Any]:
        return {"planter": "service", "service": self.client.service.settings(), "size": self.size}

    async def plant(self, source: RGBImage, key: str, seed: int, attempt: int) -> Planted:
        height, width = source.shape[:2]
        description = await ask_description(self.client, encode_as(source, "jpg"), attempt)
        prompt = generation_prompt(description, key, (width, height))
        size = self.size or nearest_size(width, height)
        content = await self.client.draw(prompt, size=size, salt=str(attempt))
        rgb = decode_photo(BytesIO(content), "the drawn sentinel").rgb
        return Planted(cover_crop(rgb, height, width, "lanczos"), description, prompt)


def nearest_size(width: int, height: int) -> str:
    """Return the size of OpenAI's Images API with the nearest aspect ratio."""
    sizes = ((1024, 1024), (1536, 1024), (1024, 1536))
    best = min(sizes, key=lambda size: abs(np.log(size[0] / size[1] * height / width)))
    return f"{best[0]}x{best[1]}"

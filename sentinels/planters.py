"""Ways to make a sentinel of a source: set the key into the picture itself, or have a model draw a new one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from checkpoints.folders import PIPELINE_FILES, model_folder
from checkpoints.whole import opening
from engine.manifest import fingerprint
from images.io import decode_photo, encode_as
from images.transforms.geometry import cover_crop
from models.drawing import check_device, generate_image, run_in_turn
from sentinels.client import Client
from sentinels.describe import ask_description, generation_prompt, measured_description
from sentinels.plate import PlateStyle, set_key

Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Planted:
    """A candidate: its levels at the source's size, (H, W, 3), and what was said and asked on the way."""

    rgb: Levels
    description: str = ""
    prompt: str = ""


class Planter(Protocol):
    """Makes candidates."""

    def settings(self) -> dict[str, Any]:
        """What decides the candidates, for record and manifest."""

    async def plant(self, source: Levels, key: str, seed: int, attempt: int) -> Planted:
        """A candidate for a source (H, W, 3); another one for each attempt.

        Raises:
            ValueError: If none could be made.
        """


@dataclass(frozen=True)
class LocalPlanter:
    """Sets the key into the source's own picture; needs no model and no service.

    Args:
        style: How the key is set.
    """

    style: PlateStyle = PlateStyle()

    def settings(self) -> dict[str, Any]:
        return {"planter": "local", "style": asdict(self.style)}

    async def plant(self, source: Levels, key: str, seed: int, attempt: int) -> Planted:
        return Planted(
            set_key(source, key, np.random.default_rng([31, seed, attempt]), self.style).rgb
        )


class DiffusionPlanter:
    """Draws a new picture with a text-to-image pipeline of diffusers; only models that can letter are of use.

    Args:
        model: Folder or Hub id.
        client: Describes the source; None measures colours and size instead.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale.
        device: Where it runs.

    Raises:
        ValueError: If there is no such device.
    """

    def __init__(
        self,
        model: str,
        client: Client | None = None,
        steps: int = 30,
        guidance: float = 5.0,
        device: str = "cpu",
    ) -> None:
        check_device(device)
        self.model, self.client, self.steps, self.guidance, self.device = (
            model,
            client,
            steps,
            guidance,
            device,
        )

    def settings(self) -> dict[str, Any]:
        how = {
            "planter": "diffusion",
            "model": fingerprint(self.model, self.folder),
            "steps": self.steps,
            "guidance": self.guidance,
        }
        return how | ({"service": self.client.service.settings()} if self.client else {})

    @cached_property
    def folder(self) -> Any:
        """The pipeline's folder."""
        return model_folder(self.model, "model_index.json", patterns=PIPELINE_FILES)

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline, loaded on first use."""
        from diffusers import AutoPipelineForText2Image

        dtype = torch.float32 if self.device == "cpu" else torch.float16
        with opening(self.folder):
            pipeline = AutoPipelineForText2Image.from_pretrained(self.folder, dtype=dtype).to(
                self.device
            )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    async def plant(self, source: Levels, key: str, seed: int, attempt: int) -> Planted:
        height, width = source.shape[:2]
        if self.client:
            description = await ask_description(self.client, encode_as(source, "jpg"), attempt)
        else:
            description = measured_description(source)
        prompt = generation_prompt(description, key, (width, height))
        drawn = await run_in_turn(lambda: self._drawn(prompt, seed * 1009 + attempt))
        return Planted(cover_crop(drawn, height, width, "lanczos"), description, prompt)

    def _drawn(self, prompt: str, seed: int) -> Levels:
        return generate_image(
            self.pipeline,
            prompt,
            seed,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
        )


class ServicePlanter:
    """Has a service describe the source and draw the sentinel.

    Args:
        client: The service.
        size: Of the pictures it draws, as it takes it; brought to the source's size afterwards. None takes the nearest shape of three.
    """

    def __init__(self, client: Client, size: str | None = None) -> None:
        self.client, self.size = client, size

    def settings(self) -> dict[str, Any]:
        return {"planter": "service", "service": self.client.service.settings(), "size": self.size}

    async def plant(self, source: Levels, key: str, seed: int, attempt: int) -> Planted:
        height, width = source.shape[:2]
        description = await ask_description(self.client, encode_as(source, "jpg"), attempt)
        prompt = generation_prompt(description, key, (width, height))
        drawn = await self.client.draw(
            prompt, size=self.size or nearest_size(width, height), salt=str(attempt)
        )
        rgb = decode_photo(BytesIO(drawn), "the drawn sentinel").rgb
        return Planted(cover_crop(rgb, height, width, "lanczos"), description, prompt)


def nearest_size(width: int, height: int) -> str:
    """Of the sizes that OpenAI's Images API draws the one nearest in shape."""
    sizes = ((1024, 1024), (1536, 1024), (1024, 1536))
    best = min(sizes, key=lambda size: abs(np.log(size[0] / size[1] * height / width)))
    return f"{best[0]}x{best[1]}"

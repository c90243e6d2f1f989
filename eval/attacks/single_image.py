"""Attacks on each image of a person by itself, without training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from engine.manifest import describe
from eval.attacks.attack import Attack
from images.io import to_rgb


@dataclass(frozen=True)
class Sampling:
    """Settings of the generated images.

    Attributes:
        samples: Generated images for each image of the person and each prompt.
        seed: Seed of the first of them; the following ones count up from it.
        steps: Denoising steps.
        guidance: Classifier-free guidance scale; null for the pipeline's own.
        precision: ``32``, or ``bf16`` for weights and computation.

    Raises:
        ValueError: If a count is below 1.
    """

    samples: int = 4
    seed: int = 123
    steps: int = 50
    guidance: float | None = None
    precision: Literal["32", "bf16"] = "32"

    def __post_init__(self) -> None:
        if self.samples < 1 or self.steps < 1:
            msg = f"samples and steps must be at least 1, got {self.samples} and {self.steps}"
            raise ValueError(msg)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a diffusers pipeline, without the generator."""
        arguments: dict[str, Any] = {"num_inference_steps": self.steps, "output_type": "pt"}
        if self.guidance is not None:
            arguments["guidance_scale"] = self.guidance
        return arguments

    def generators(self) -> list[torch.Generator]:
        """Return the generator of each sample, on the CPU."""
        seeds = range(self.seed, self.seed + self.samples)
        return [torch.Generator().manual_seed(seed) for seed in seeds]


class SingleImageAttack(Attack):
    """Attack that takes each image of the person in turn, and asks for the same each time.

    Args:
        model: Pipeline folder or Hub id.
        requests: What is asked of the model for each image, such as prompts.
        sampling: Settings of the generated images.

    Raises:
        ValueError: If there are no requests.
    """

    def __init__(self, model: str, requests: Sequence[Any], sampling: Sampling) -> None:
        if not requests:
            msg = f"{type(self).__name__} has nothing to generate: name at least one prompt or edit"
            raise ValueError(msg)
        self.model = model
        self.requests = tuple(requests)
        self.sampling = sampling

    @abstractmethod
    def generate(self, image: Tensor, request: Any) -> Tensor:
        """Generate all samples of one request from one image, (3, S, S) in [0, 1].

        Returns:
            (samples, 3, H, W) in [0, 1]; H and W are the same for all images of a person.
        """

    @torch.no_grad()
    def __call__(self, images: Tensor, on_step: Callable[[float], None] | None = None) -> Tensor:
        generated = []
        for image in images:
            for request in self.requests:
                generated.append(self.generate(image, request).float().cpu())
                if on_step is not None:
                    on_step(0.0)
        return torch.cat(generated)

    def steps(self, images: int) -> int:
        return images * len(self.requests)

    def record(self) -> dict[str, Any]:
        return describe(self) | {"requests": list(self.requests), "sampling": asdict(self.sampling)}


def pillow_image(image: Tensor) -> Image.Image:
    """Convert an image (3, H, W) in [0, 1] for a pipeline, in 8 bits."""
    return Image.fromarray(to_rgb(image))

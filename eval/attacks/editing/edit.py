"""Editing of images: what all editing attacks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from eval.attacks.attack import Edit
from eval.attacks.single_image import Sampling, SingleImageAttack, pillow_image
from images.transforms.differentiable import resize
from models.editors import Opener, image_side, open_editor


@dataclass(frozen=True)
class EditRequest:
    """Edit to ask for.

    Attributes:
        after: Words on the wanted result.
        before: Words on the image.
        instruction: The edit as an instruction, for models that take one.
    """

    after: str
    before: str = "a photo of a person"
    instruction: str = ""


EDITS = (
    EditRequest(
        "a photo of a person wearing sunglasses", instruction="make the person wear sunglasses"
    ),
    EditRequest(
        "a photo of a person in a prison cell", instruction="put the person into a prison cell"
    ),
)
"""Edits of the default settings."""


class Editing(SingleImageAttack):
    """Base class of attacks that edit each image of a person in turn.

    Results have the size of the images.

    Args:
        model: Pipeline folder or Hub id.
        edits: The edits to ask for.
        sampling: Settings of the generated images.
        arguments: Further arguments of the pipeline, such as ``image_guidance_scale``.

    Raises:
        ValueError: If there is no edit.
    """

    opener: ClassVar[Opener]

    def __init__(
        self,
        model: str,
        edits: Sequence[EditRequest],
        sampling: Sampling,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, edits, sampling)
        self.more = dict(arguments or {})

    @cached_property
    def pipeline(self) -> Any:
        """The model, on the attack's device, loaded on first use.

        Raises:
            FileNotFoundError: If it cannot be found.
            ValueError: If diffusers has no such pipeline for it.
        """
        return open_editor(self.model, self.opener, self.sampling.dtype).to(self.device)

    @abstractmethod
    def arguments(
        self, image: Tensor, request: EditRequest, size: tuple[int, int]
    ) -> dict[str, Any]:
        """Return the pipeline's arguments, without image and settings.

        Args:
            image: (3, H, W) in [0, 1].
            request: The edit.
            size: Height and width at which the pipeline gets the image.
        """

    def finish(self, edited: Tensor, image: Tensor) -> Tensor:
        """Finish edited images (samples, 3, S, S) of an image (3, S, S), both in [0, 1]."""
        return edited

    def generate(self, image: Tensor, request: EditRequest) -> Tensor:
        height, width = image.shape[-2:]
        side = image_side(self.pipeline)
        given = image if side is None else resize(image.unsqueeze(0), side, side, "bicubic")[0]
        asked = {
            **self.sampling.arguments(),
            **self.arguments(image, request, (given.shape[-2], given.shape[-1])),
            "image": pillow_image(given),
            **self.more,
        }
        # One at a time, as pipelines differ in how they repeat an image.
        samples = []
        for generator in self.sampling.generators():
            sample = self.pipeline(generator=generator, **asked).images
            samples.append(resize(sample.float().to(image.device), height, width, "bicubic"))
        return self.finish(torch.cat(samples).clamp(0, 1), image)

    def prompts(self, images: int) -> list[str]:
        return [edit.after for edit in self.edits(images)]

    def edits(self, images: int) -> list[Edit]:
        return [
            Edit(image, request.before, request.after)
            for image in range(images)
            for request in self.requests
            for _ in range(self.sampling.samples)
        ]

    def record(self) -> dict[str, Any]:
        requests = [asdict(request) for request in self.requests]
        return super().record() | {"requests": requests, "arguments": self.more}

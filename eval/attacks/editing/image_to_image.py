"""Editing by img2img."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusers import AutoPipelineForImage2Image
from torch import Tensor

from eval.attacks.editing.edit import EDITS, Editing, EditRequest
from eval.attacks.single_image import Sampling
from eval.attacks.strength import check_strength


class ImageToImageEdit(Editing):
    """Editing by img2img: the image is noised, and denoised with the wanted words (SDEdit).

    Args:
        model: Pipeline folder or Hub id of any text-to-image model with img2img in diffusers.
        edits: The edits to ask for.
        strength: Share of the schedule that is run again, above 0 and at most 1.
        sampling: Settings of the generated images.
        arguments: Further arguments of the pipeline.

    Raises:
        ValueError: If there is no edit, or the strength is out of range.
    """

    opener = AutoPipelineForImage2Image

    def __init__(
        self,
        model: str = "stable-diffusion-v1-5/stable-diffusion-v1-5",
        edits: Sequence[EditRequest] = EDITS,
        strength: float = 0.5,
        sampling: Sampling = Sampling(),
        arguments: dict[str, Any] | None = None,
    ) -> None:
        check_strength(strength, sampling.steps)
        super().__init__(model, edits, sampling, arguments)
        self.strength = strength

    def arguments(
        self, image: Tensor, request: EditRequest, size: tuple[int, int]
    ) -> dict[str, Any]:
        return {"prompt": request.after, "strength": self.strength}

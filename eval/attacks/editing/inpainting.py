"""Inpainting of everything but the face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from diffusers import AutoPipelineForInpainting
from torch import Tensor

from eval.attacks.editing.edit import EDITS, Editing, EditRequest
from eval.attacks.face_user import FaceUser
from eval.attacks.single_image import Sampling, pillow_image
from eval.attacks.strength import check_strength

CENTER = (0.5, 0.5, 0.5, 0.5)
"""Box that is kept where no face is detected: center and sides, relative to the image's."""

BLENDING_CHANNELS = {"unet": 4, "transformer": 16}
"""Input channels by which diffusers recognizes a denoiser without channels for a mask.

Its pipelines blend latents in every step for these. The numbers are those of the latents of Stable
Diffusion and of Stable Diffusion 3; other autoencoders have others.
"""


class Inpainting(FaceUser, Editing):
    """Inpainting: everything but the face is painted anew.

    The face's box keeps the pixels of the image, bit by bit. Where no face is detected, the middle
    half of each side is kept.

    Args:
        model: Pipeline folder or Hub id of any model with inpainting in diffusers.
        edits: The edits to ask for.
        faces: The attacker's face detector; see :func:`models.faces.backends.face_files`.
        margin: Share of the face's box that is added on each side.
        strength: Share of the schedule that is run, above 0 and at most 1; at least one step.
        sampling: Settings of the generated images.
        arguments: Further arguments of the pipeline.

    Raises:
        ValueError: If there is no edit, the strength is out of range, or the margin is negative.
    """

    opener = AutoPipelineForInpainting

    def __init__(
        self,
        model: str = "stable-diffusion-v1-5/stable-diffusion-inpainting",
        edits: Sequence[EditRequest] = EDITS,
        faces: str = "opencv",
        margin: float = 0.1,
        strength: float = 1.0,
        sampling: Sampling = Sampling(),
        arguments: dict[str, Any] | None = None,
    ) -> None:
        check_strength(strength, sampling.steps)
        if margin < 0:
            msg = f"margin must be at least 0, got {margin}"
            raise ValueError(msg)
        super().__init__(model, edits, sampling, arguments)
        self.faces = faces
        self.margin = margin
        self.strength = strength

    @cached_property
    def pipeline(self) -> Any:
        pipeline = super().pipeline
        latent_channels = pipeline.vae.config.get("latent_channels")
        for part, channels in BLENDING_CHANNELS.items():
            network = getattr(pipeline, part, None)
            if network is not None and network.config.in_channels == latent_channels:
                network.register_to_config(in_channels=channels)
        return pipeline

    def painted(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Mark what of an image (3, H, W) is painted anew, at another size.

        Returns:
            (1, *size): 0 in the face's box, else 1.
        """
        faces = self.backend(image.unsqueeze(0))
        x, y, wide, high = faces.boxes[0].tolist() if faces.detected[0] else CENTER
        height, width = size
        half_wide, half_high = wide * (0.5 + self.margin), high * (0.5 + self.margin)
        left, right = round((x - half_wide) * width), round((x + half_wide) * width)
        top, bottom = round((y - half_high) * height), round((y + half_high) * height)
        mask = image.new_ones(1, height, width)
        mask[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 0
        return mask

    def arguments(
        self, image: Tensor, request: EditRequest, size: tuple[int, int]
    ) -> dict[str, Any]:
        mask = pillow_image(self.painted(image, size).expand(3, -1, -1))
        return {"prompt": request.after, "strength": self.strength, "mask_image": mask}

    def finish(self, edited: Tensor, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        return torch.where(self.painted(image, (height, width)).bool(), edited, image)

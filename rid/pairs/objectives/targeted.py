"""Denoising loss with a pull towards a target image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from images.io import open_photo
from images.transforms.geometry import center_crop_photo
from rid.ensemble import DiffusionEnsemble
from rid.pairs.objective import ModelObjective


@dataclass(eq=False)
class Targeted(ModelObjective):
    """Denoising loss minus T-ASPL's shift term towards a target image.

    Source: Anti-DreamBooth (arXiv 2303.15433); see
    :meth:`rid.ensemble.DiffusionEnsemble.targeted_loss`. We differ: the models stay frozen, where
    T-ASPL's are fine-tuned; the step from the first timestep ends at the clean latents, where the
    program takes the noise of the last timestep.

    Attributes:
        models: Pipeline folders or Hub ids; the objective is their mean.
        target: Target image file, resized and center-cropped to the images' side.
        prompt: Prompt of the models.
    """

    name = "targeted"

    models: list[str]
    target: str
    prompt: str = "a photo of sks person"

    @cached_property
    def ensemble(self) -> DiffusionEnsemble:
        """The models, opened on first use."""
        return DiffusionEnsemble(self.models, self.prompt, self.dtype)

    def start_round(self, clean: Tensor, generator: torch.Generator) -> None:
        self.ensemble.to(clean.device)
        self.target_image = open_target(self.target, clean)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        target = self.target_image.expand(len(images), -1, -1, -1)
        return self.ensemble.targeted_loss(images, target, generator)


def open_target(file: str, like: Tensor) -> Tensor:
    """Open a target image, resized and center-cropped to the side of some images.

    Args:
        file: Image file.
        like: Images (B, 3, S, S), whose side, device and type the target takes.

    Returns:
        (1, 3, S, S) RGB in [0, 1].

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no image.
    """
    photo = center_crop_photo(open_photo(Path(file)), like.shape[-1])
    return photo.tensor()[None].to(like)

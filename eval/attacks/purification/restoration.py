"""Purification by a super-resolution or restoration network."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from checkpoints.folders import model_folder
from checkpoints.whole import explaining_load_errors
from images.transforms.differentiable import resize
from images.transforms.purifier import Purifier


class Restoration(Purifier):
    """Restoration: downscales, restores by a network, and returns to the image's size.

    DiffShortcut (arXiv 2406.18944) restores faces by CodeFormer, which no library of this project
    has; this class takes what the transformers library has, such as Swin2SR.

    Args:
        model: Folder or Hub id of a super-resolution or restoration network of transformers.
        scale: Scale at which the network gets the image, above 0 and at most 1.
        batch_size: Images at a time.

    Raises:
        ValueError: If the scale or the batch size is out of range.
    """

    model: str

    def __init__(
        self,
        model: str = "caidas/swin2SR-realworld-sr-x4-64-bsrgan-psnr",
        scale: float = 0.5,
        batch_size: int = 1,
    ) -> None:
        if not 0 < scale <= 1 or batch_size < 1:
            msg = (
                "scale is above 0 and at most 1, and batch_size at least 1, got "
                f"{scale} and {batch_size}"
            )
            raise ValueError(msg)
        self.model = model
        self.scale = scale
        self.batch_size = batch_size

    @cached_property
    def network(self) -> Any:
        """The network, opened on first use.

        Raises:
            FileNotFoundError: If it cannot be found.
            ValueError: If it is no such network.
        """
        from transformers import AutoModelForImageToImage

        patterns = ["*.json", "*.safetensors"]
        folder = model_folder(self.model, "config.json", patterns=patterns)
        with explaining_load_errors(folder):
            network = AutoModelForImageToImage.from_pretrained(folder, dtype=torch.float32)
        return network.eval().requires_grad_(False).to(self.device)

    def __call__(self, images: Tensor, source: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        tall, wide = max(1, round(height * self.scale)), max(1, round(width * self.scale))
        small = resize(images, tall, wide, "bicubic").to(self.device)
        # The network takes whole windows only.
        window, factor = self.network.config.window_size, self.network.config.upscale
        padded = F.pad(small, (0, -wide % window, 0, -tall % window), mode="replicate")
        restored = [self.network(part).reconstruction for part in padded.split(self.batch_size)]
        cut = torch.cat(restored)[..., : tall * factor, : wide * factor].clamp(0, 1)
        return resize(cut, height, width, "bicubic").to(images)

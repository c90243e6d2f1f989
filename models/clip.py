"""CLIPScore and CLIP-IQA with any CLIP of the transformers library.

torchmetrics 1.9.0 has both, but fails with transformers 5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from checkpoints.folders import model_folder
from models.towers import ImageTextTowers, load_pretrained

CLIP = "openai/clip-vit-base-patch16"
QUALITY_PROMPTS = ("Good photo.", "Bad photo.")
"""Prompt pair that defines CLIP-IQA's quality."""


class ClipMetrics:
    """CLIPScore and CLIP-IQA with one shared model, on the images' device.

    Args:
        model: Folder or Hub id.

    Raises:
        FileNotFoundError: If the model cannot be found.
        ValueError: If the model is damaged.
    """

    def __init__(self, model: str = CLIP) -> None:
        from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

        folder: Path = model_folder(
            model, "config.json", patterns=["*.json", "*.txt", "*.safetensors"]
        )
        self.towers = ImageTextTowers(
            load_pretrained(CLIPModel, folder), CLIPTokenizer.from_pretrained(folder)
        )
        self.processor: Any = CLIPImageProcessor.from_pretrained(folder)

    def score(self, images: Tensor, prompt: str) -> Tensor:
        """Compute CLIPScore (arXiv 2104.08718), scaled to 0 to 100 as in torchmetrics.

        Args:
            images: (B, 3, H, W) in [0, 1].
            prompt: Text that the images should show.

        Returns:
            (B,): 100 x cosine similarity, at least 0.
        """
        vectors = self.embed_images(images)
        return (100 * vectors @ self.embed_texts([prompt])[0]).clamp(min=0)

    def quality(self, images: Tensor) -> Tensor:
        """Compute CLIP-IQA's quality (arXiv 2207.12396).

        Args:
            images: (B, 3, H, W) in [0, 1].

        Returns:
            (B,) in [0, 1]; higher is better.
        """
        vectors = self.embed_images(images)
        return (100 * vectors @ self.embed_texts(list(QUALITY_PROMPTS)).T).softmax(dim=-1)[:, 0]

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) in [0, 1] as (B, D) of unit length."""
        self.towers.to(images.device)
        pixels = self.processor(
            images=list(images.float().cpu()), do_rescale=False, return_tensors="pt"
        )["pixel_values"]
        return F.normalize(self.towers(pixels.to(images.device)), dim=-1)

    @torch.no_grad()
    def embed_texts(self, prompts: list[str]) -> Tensor:
        """Embed texts as (B, D) of unit length."""
        return F.normalize(self.towers.embed_texts(prompts), dim=-1)

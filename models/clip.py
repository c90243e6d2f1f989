"""CLIPScore and CLIP-IQA over any CLIP of the transformers library.

torchmetrics has both, but its 1.9.0 reads CLIP's features as transformers before version 5 returned them, and fails.
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
QUALITY = ("Good photo.", "Bad photo.")
"""The pair of prompts CLIP-IQA's quality is defined by."""


class ClipMetrics:
    """One CLIP for both metrics, wherever the images are.

    Args:
        model: Folder or Hub id.

    Raises:
        FileNotFoundError: If the model cannot be had.
        ValueError: If it is damaged.
    """

    def __init__(self, model: str = CLIP) -> None:
        from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

        folder: Path = model_folder(model, "config.json", patterns=["*.json", "*.txt", "*.safetensors"])
        self.towers = ImageTextTowers(load_pretrained(CLIPModel, folder), CLIPTokenizer.from_pretrained(folder))
        self.processor: Any = CLIPImageProcessor.from_pretrained(folder)

    def score(self, images: Tensor, prompt: str) -> Tensor:
        """CLIPScore (arXiv 2104.08718) as torchmetrics scales it: 100 x cosine, at least 0; (B, 3, H, W) in [0, 1] to (B,)."""
        vectors = self._images(images)
        return (100 * vectors @ self._texts([prompt])[0]).clamp(min=0)

    def quality(self, images: Tensor) -> Tensor:
        """CLIP-IQA (arXiv 2207.12396): how much more an image is a good photo than a bad one; (B, 3, H, W) in [0, 1] to (B,) in [0, 1]."""
        vectors = self._images(images)
        return (100 * vectors @ self._texts(list(QUALITY)).T).softmax(dim=-1)[:, 0]

    @torch.no_grad()
    def _images(self, images: Tensor) -> Tensor:
        self.towers.to(images.device)
        pixels = self.processor(images=list(images.float().cpu()), do_rescale=False, return_tensors="pt")["pixel_values"]
        return F.normalize(self.towers(pixels.to(images.device)), dim=-1)

    @torch.no_grad()
    def _texts(self, prompts: list[str]) -> Tensor:
        return F.normalize(self.towers.embed_texts(prompts), dim=-1)

"""CLIPScore and CLIP-IQA over any CLIP of the transformers library.

torchmetrics has both, but its 1.9.0 reads CLIP's features as transformers before version 5 returned them, and fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from checkpoints.folders import model_folder

CLIP = "openai/clip-vit-base-patch16"
QUALITY = ("Good photo.", "Bad photo.")
"""The pair of prompts CLIP-IQA's quality is defined by."""


class ClipMetrics:
    """One CLIP for both metrics, wherever the pictures are.

    Args:
        model: Folder or Hub id.

    Raises:
        FileNotFoundError: If the model cannot be had.
    """

    def __init__(self, model: str = CLIP) -> None:
        folder: Path = model_folder(model, "config.json", patterns=["*.json", "*.txt", "*.safetensors"])
        self.model: Any = CLIPModel.from_pretrained(folder).eval().requires_grad_(False)
        self.tokenizer: Any = CLIPTokenizer.from_pretrained(folder)
        self.processor: Any = CLIPImageProcessor.from_pretrained(folder)

    def score(self, images: Tensor, prompt: str) -> Tensor:
        """CLIPScore (arXiv 2104.08718) as torchmetrics scales it: 100 x cosine, at least 0; (B, 3, H, W) in [0, 1] to (B,)."""
        seen = self._pictures(images)
        return (100 * seen @ self._texts([prompt])[0]).clamp(min=0)

    def quality(self, images: Tensor) -> Tensor:
        """CLIP-IQA (arXiv 2207.12396): how much more a picture is a good photo than a bad one, (B, 3, H, W) in [0, 1] to (B,) in [0, 1]."""
        seen = self._pictures(images)
        return (100 * seen @ self._texts(list(QUALITY)).T).softmax(dim=-1)[:, 0]

    @torch.no_grad()
    def _pictures(self, images: Tensor) -> Tensor:
        self.model.to(images.device)
        pixels = self.processor(images=list(images.float().cpu()), do_rescale=False, return_tensors="pt")["pixel_values"]
        seen = self.model.vision_model(pixels.to(self.model.device)).pooler_output
        return F.normalize(self.model.visual_projection(seen), dim=-1)

    @torch.no_grad()
    def _texts(self, prompts: list[str]) -> Tensor:
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        read = self.model.text_model(**tokens.to(self.model.device)).pooler_output
        return F.normalize(self.model.text_projection(read), dim=-1)

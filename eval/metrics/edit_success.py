"""CLIP direction: how far an edit succeeded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.attacks.attack import Edit
from models.clip import ClipMetrics


def edit_success(
    clip: ClipMetrics, generated: Tensor, clean: Tensor, edits: Sequence[Edit]
) -> float:
    """Average CLIP direction of edited images; NaN without edits.

    Images are compared with the unprotected ones, so that all protections have one starting point.

    Args:
        clip: The embedder.
        generated: Edited images, (n, 3, H, W) in [0, 1].
        clean: Unprotected images, (m, 3, H, W) in [0, 1].
        edits: Edit behind each edited image, n of them.
    """
    if not edits:
        return float("nan")
    before = clip.embed_images(clean)[[edit.image for edit in edits]]
    after = clip.embed_images(generated)
    words = list(dict.fromkeys(word for edit in edits for word in (edit.before, edit.after)))
    texts = dict(zip(words, clip.embed_texts(words), strict=True))
    wanted = torch.stack([texts[edit.after] - texts[edit.before] for edit in edits])
    return float(direction(after - before, wanted.to(after)).mean())


def direction(images: Tensor, texts: Tensor) -> Tensor:
    """CLIP direction (arXiv 2108.00946): cosine of the images' change and the texts' change.

    Args:
        images: Differences of the images' unit vectors, (n, D).
        texts: Differences of the texts' unit vectors, (n, D).

    Returns:
        (n,) from -1 to 1: 1 for the asked change, 0 for none or another one.
    """
    return F.cosine_similarity(images, texts, dim=1)

"""SER-FIQ: face image quality from the stability of embeddings under dropout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PASSES = 100
"""Stochastic passes of the paper."""


def ser_fiq(embeddings: Tensor) -> Tensor:
    """SER-FIQ (arXiv 2003.09373), scaled as in the authors' released program.

    Args:
        embeddings: (T, B, D): T stochastic embeddings of each of B faces, T at least 2. They are
            normalized here.

    Returns:
        Scores in (0, 1), (B,). Higher means better quality; a defender wants it low.

    Raises:
        ValueError: If T is below 2.
    """
    if len(embeddings) < 2:
        msg = f"SER-FIQ compares at least two passes, got {len(embeddings)}"
        raise ValueError(msg)
    unit = F.normalize(embeddings.double(), dim=-1).transpose(0, 1)
    distances = torch.stack([torch.pdist(face).mean() for face in unit])
    return (130 * (2 * torch.sigmoid(-distances) - 0.88)).sigmoid().to(embeddings.dtype)

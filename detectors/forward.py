"""Forward passes of a detector over the views or crops of images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from detectors.domain_features import recorded_features, view_statistics
from images.transforms.views import as_input

if TYPE_CHECKING:
    from detectors.crop_rule import CropRule
    from detectors.domain import Floats

CROPS_AT_ONCE = 16
"""Crops of a forward pass, where fewer images are given."""


def batched(views: Sequence[Tensor]) -> list[Tensor]:
    """Stack views, or crops, of equal sizes to one batch, others to batches of one."""
    if len({view.shape for view in views}) == 1:
        return [torch.stack(list(views))]
    return [view.unsqueeze(0) for view in views]


def pooled_logits(
    detector: nn.Module, rule: CropRule, views: Sequence[Tensor], of: nn.Module | None = None
) -> tuple[list[float], Floats]:
    """Compute the logits and features of all crops, and pool those of each image.

    Args:
        detector: Module from views in [0, 1] to logits.
        rule: How the logits of several crops become one.
        views: N results of :meth:`detectors.detector.Detector.view_of`, or (D,) features.
        of: Network of the detector whose features are computed, too; None for none.

    Returns:
        Logits, and (N, D) features, of several crops their mean; (N, 0) unless asked for.
    """
    by_image = [list(view) if view.ndim == 4 else [view] for view in views]
    crops = [crop for of_image in by_image for crop in of_image]
    at_once = max(len(views), CROPS_AT_ONCE)
    logits = []
    rows: list[Floats] = []
    for start in range(0, len(crops), at_once):
        part = crops[start : start + at_once]
        logits.append(_logits(detector, part, rows, of))
    ends = np.cumsum([len(of_image) for of_image in by_image])[:-1]
    pooled = [rule.pooled(part) for part in np.split(np.concatenate(logits), ends)]
    if of is None:
        return pooled, np.empty((len(views), 0))
    means = [part.mean(axis=0) for part in np.split(np.concatenate(rows), ends)]
    return pooled, np.stack(means)


@torch.no_grad()
def _logits(
    detector: nn.Module, crops: Sequence[Tensor], rows: list[Floats], of: nn.Module | None
) -> Floats:
    """Compute the logits, (N,), of crops, and add their features, (N, D), to ``rows``."""
    weight = next(detector.parameters())
    with ExitStack() as stack:
        recorded = stack.enter_context(recorded_features(of)) if of is not None else []
        batches = [as_input(batch.to(weight.device)) for batch in batched(crops)]
        logits = torch.cat([detector(batch.to(weight.dtype)) for batch in batches])
    if of is not None:
        parts = [torch.cat(recorded).float().cpu()] if recorded else []
        if crops[0].ndim == 3:
            parts.append(torch.cat([view_statistics(batch) for batch in batches]).cpu())
        rows.append(torch.cat(parts, dim=1).double().numpy())
    return logits.double().cpu().numpy()

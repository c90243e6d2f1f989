"""Choice of the released form of activated images: one that a search still finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from images.io import to_uint8
from indexing.activation import activate
from indexing.activation_config import ActivationConfig
from indexing.index_goals import IndexGoals, IndexResult, results_of
from indexing.opacity import Opacity, on_white

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of a change, tried until a search finds the image."""


@dataclass(frozen=True)
class ActivationResult:
    """Released form of one image.

    Attributes:
        image_u8: The image, (3, H, W) uint8; the original's values if it is not activated.
        activated: The image was changed, and is found at least where the original is.
        share: Share of the optimized change that was kept.
        indices: One result for each index, by its label.
    """

    image_u8: Tensor
    activated: bool
    share: float
    indices: dict[str, IndexResult]


def activate_and_check(
    images: Sequence[Tensor],
    goals: Sequence[IndexGoals],
    config: ActivationConfig,
    opacities: Sequence[Opacity] | None = None,
) -> list[ActivationResult]:
    """Activate images, and check each in every index after rounding.

    A change with which an image is lost is scaled down. If that does not help, the image is
    optimized again, for targets halfway to its own descriptor. If that fails, too, it stays
    unchanged.

    Args:
        images: (3, H, W) RGB in [0, 1] each, of 8-bit values, on one device.
        goals: Goals of these images, for each index.
        config: Settings of the optimization.
        opacities: Opacity of each image, which searches see on white; None for opaque images.
    """
    opacities = opacities or [None] * len(images)
    released: dict[int, ActivationResult] = {}
    for attempt in (list(goals), [goal.halfway() for goal in goals]):
        lost = [row for row in range(len(images)) if row not in released]
        if not lost:
            break
        originals = [images[row] for row in lost]
        objectives = [goal.rows(lost).objective() for goal in attempt]
        their_opacities = [opacities[row] for row in lost]
        changed = activate(originals, objectives, config, their_opacities).images_u8
        kept = [goal.rows(lost) for goal in goals]
        found = _largest_found_share(originals, changed, kept, their_opacities)
        for place, result in found.items():
            released[lost[place]] = result
    # images that are lost by any change
    lost = [row for row in range(len(images)) if row not in released]
    if lost:
        originals = [images[row] for row in lost]
        of_lost = [goal.rows(lost) for goal in goals]
        by_image = results_of(of_lost, on_white(originals, [opacities[row] for row in lost]))
        for row, image, results in zip(lost, originals, by_image, strict=True):
            unchanged = to_uint8(image).cpu()
            released[row] = ActivationResult(unchanged, False, 0.0, _labelled(goals, results))
    return [released[row] for row in range(len(images))]


def _largest_found_share(
    images: Sequence[Tensor],
    changed: Sequence[Tensor],
    goals: Sequence[IndexGoals],
    opacities: Sequence[Opacity],
) -> dict[int, ActivationResult]:
    """Scale changes down until each image is found; leave out images that never are.

    Args:
        images: The originals, (3, H, W) in [0, 1] each.
        changed: Their changed forms, (3, H, W) uint8 each.
        goals: Goals of these images, for each index.
        opacities: Opacity of each image.
    """
    released: dict[int, ActivationResult] = {}
    for share in SHARES:
        waiting = [row for row in range(len(images)) if row not in released]
        if not waiting:
            break
        blends = [_blend(images[row], changed[row], share) for row in waiting]
        pixels = on_white(
            [blend.float() / 255 for blend in blends], [opacities[row] for row in waiting]
        )
        by_image = results_of([goal.rows(waiting) for goal in goals], pixels)
        for row, blend, results in zip(waiting, blends, by_image, strict=True):
            is_original = share < 1 and torch.equal(blend, to_uint8(images[row]))
            if _is_found(results) and not is_original:
                labelled = _labelled(goals, results)
                released[row] = ActivationResult(blend.cpu(), True, share, labelled)
    return released


def _blend(image: Tensor, changed: Tensor, share: float) -> Tensor:
    """Keep a share of a change, rounded; no value changes by more than before."""
    if share == 1:
        return changed
    original = to_uint8(image).float()
    return torch.round(original + share * (changed - original)).byte()


def _is_found(results: Sequence[IndexResult]) -> bool:
    """Return True if an image is found in an index, and in all that find the original."""
    is_lost = any(result.original_found and not result.found for result in results)
    return any(result.found for result in results) and not is_lost


def _labelled(
    goals: Sequence[IndexGoals], results: Sequence[IndexResult]
) -> dict[str, IndexResult]:
    return {goal.index.label: result for goal, result in zip(goals, results, strict=True)}

"""Names and settings of released detectors, as this project has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from detectors.detector import Detector
from images.transforms.views import View

Weights = dict[str, Tensor]


def rename(state: Mapping[str, Tensor], names: Mapping[str, str], release: str) -> Weights:
    """Rename the entries of a state dict.

    Args:
        state: State dict.
        names: Patterns of old names, and replacements.
        release: Name of the release in error messages.

    Raises:
        ValueError: If no pattern matches an entry.
    """
    renamed = {}
    for key, value in state.items():
        pattern = next((pattern for pattern in names if re.fullmatch(pattern, key)), None)
        if pattern is None:
            msg = f"'{key}' does not belong to a released {release} checkpoint"
            raise ValueError(msg)
        renamed[re.sub(pattern, names[pattern], key)] = value
    return renamed


def detector_config(
    network: str, options: dict[str, Any], view: View, train_view: View
) -> dict[str, Any]:
    """Build a detector's config, as ``config.json`` has it.

    Args:
        network: Name in :data:`detectors.networks.NETWORKS`.
        options: Arguments of the network.
        view: View outside training.
        train_view: View in training.
    """
    return {
        "model": "Detector",
        "format": Detector.FORMAT,
        "network": network,
        "options": options,
        "view": asdict(view),
        "train_view": asdict(train_view),
    }

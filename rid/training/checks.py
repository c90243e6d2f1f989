"""Checks of a training's settings and batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

WEIGHTS = ("sds_weight", "denoising_weight", "regression_weight", "distillation_weight")
"""Weights of the loss terms that can train alone."""

REMEDY = "use datamodules.pairs.WithPairs as data.init_args.train, or set it to 0"


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings with which nothing can be trained.

    Args:
        settings: Arguments of :class:`rid.training.task.RIDTask`, by name.

    Raises:
        ValueError: If all weights are 0, one is negative, or surrogates or teacher are missing.
    """
    weights = {name: settings[name] for name in WEIGHTS}
    diversity = settings["diversity_weight"]
    if min(*weights.values(), diversity) < 0 or sum(weights.values()) == 0:
        given = ", ".join(f"{name} {value}" for name, value in weights.items())
        msg = (
            f"weights must be >= 0, and those of the loss terms not all 0, got {given} and "
            f"diversity_weight {diversity}"
        )
        raise ValueError(msg)
    if weights["distillation_weight"] and settings["teacher"] is None:
        msg = "distillation_weight needs a teacher: the folder or Hub id of a trained generator"
        raise ValueError(msg)
    if not settings["surrogates"]:
        msg = "surrogates is empty: name at least one diffusion pipeline folder or Hub id"
        raise ValueError(msg)


def check_batch(batch: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """Refuse a batch without the entries that the loss terms need.

    Args:
        batch: A training batch; see :class:`rid.training.task.RIDTask`.
        settings: Arguments of the task, by name.

    Raises:
        ValueError: If an entry is missing; the message names the term that needs it.
    """
    if settings["regression_weight"] and not {"source", "attacked"} <= set(batch):
        msg = f"regression_weight needs pairs: {REMEDY}"
        raise ValueError(msg)
    for name in WEIGHTS:
        if settings[name] and name != "regression_weight" and "image" not in batch:
            msg = f"{name} needs images in addition to the pairs: {REMEDY}"
            raise ValueError(msg)

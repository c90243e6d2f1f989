"""Settings of ``python -m sentinels decide``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecideConfig:
    """Settings of the tests that decide whether a system used the sentinels.

    Attributes:
        similarity: Model that compares images: dino (the paper's), dinov2, clip, siglip, a folder
            or a Hub id.
        level: Accepted probability of a false accusation.
        fpr: Rate at which the mean similarity of a system like the control exceeds the threshold.
        queries: Number of keys whose mean similarity is one score of the ROC curve; 1 for single
            queries.
        times: Number of scores of each system in one ROC curve.
        runs: Number of ROC curves.
        seed: Seed of all random draws.
        compat: Follow the published evaluation: compare with the sentinels, which is not a valid
            test; first trials only, keys drawn without replacement, no intervals.
        batch_size: Number of images in one batch of the model.

    Raises:
        ValueError: If a number is out of its range.
    """

    similarity: str = "dino"
    level: float = 1e-3
    fpr: float = 0.05
    queries: int = 1
    times: int = 100
    runs: int = 5
    seed: int = 0
    compat: bool = False
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("level", "fpr"):
            if not 0 < (rate := getattr(self, name)) < 1:
                msg = f"{name} must lie between 0 and 1, got {rate:g}"
                raise ValueError(msg)
        for name in ("queries", "times", "runs", "batch_size"):
            if (count := getattr(self, name)) < 1:
                msg = f"{name} must be at least 1, got {count}"
                raise ValueError(msg)

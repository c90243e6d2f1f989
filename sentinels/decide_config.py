"""Settings of a decision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecideConfig:
    """How it is decided.

    Attributes:
        similarity: Model that compares pictures: dino (the paper's), dinov2, clip, siglip, a folder
            or a Hub id.
        level: Chance of a false accusation that is accepted.
        fpr: False positives that the threshold from a control system allows.
        queries: Keys whose mean is one score, for the figures against a control system; 1 for
            single queries.
        times: Means of each system in one ROC curve.
        runs: ROC curves.
        seed: Of all draws.
        compat: Compute AUC and rates as the published evaluation does: first trials only, keys
            drawn without replacement.
        batch_size: Pictures embedded at a time.
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
        if (
            not (0 < self.level < 1 and 0 < self.fpr < 1)
            or min(self.queries, self.times, self.runs, self.batch_size) < 1
        ):
            msg = f"level and fpr are between 0 and 1, the counts at least 1: {self}"
            raise ValueError(msg)

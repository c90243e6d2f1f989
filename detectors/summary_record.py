"""Schema of a test's ``summary.json``.

It lists the parts that are read again. Fields that earlier versions did not write are optional.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
PerCent = Annotated[float, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0)]


class Ranking(TypedDict):
    """Metrics without a threshold."""

    auc: Share | None


class AtHalf(TypedDict):
    """Figures at P = 0.5."""

    balanced_accuracy: Share | None
    calibration_error: Share
    calibration_error_floor: NotRequired[Share]
    intervals: NotRequired[dict[str, tuple[Share, Share] | None]]


class Worst(TypedDict):
    """Generator with the lowest AUC.

    Records of version 0.1 lack its correction for selection.
    """

    generator: str
    auc: Share
    corrected_auc: NotRequired[Share]
    interval: NotRequired[tuple[Share, Share] | None]
    generated: NotRequired[Count]
    of: NotRequired[Count]


class Table(TypedDict):
    """MPBench's columns and averages, in per cent.

    ``bounds`` holds each column's low end, high end and number of images.
    """

    real: dict[str, PerCent | None]
    generated: dict[str, PerCent | None]
    real_average: PerCent | None
    generated_average: PerCent | None
    total: PerCent | None
    balanced: PerCent | None
    bounds: NotRequired[dict[str, tuple[PerCent, PerCent, Count] | None]]


class Oracle(TypedDict):
    """True-positive rates at thresholds chosen on the test itself."""

    tpr_at_fpr_1: Share | None


class Intervals(TypedDict):
    """95 % intervals of a test's figures."""

    auc: tuple[Share, Share] | None
    balanced_accuracy: NotRequired[tuple[Share, Share] | None]
    oracle_tpr_at_fpr_1: NotRequired[tuple[Share, Share] | None]


class ClassVerdicts(TypedDict):
    """Shares of the verdicts on one class."""

    images: Count
    generated: Share
    unsure: Share
    real: Share
    generated_interval: tuple[Share, Share] | None


class Verdicts(TypedDict):
    """Shares of the verdicts at one operating point."""

    max_fpr: Share
    real: ClassVerdicts | None
    generated: ClassVerdicts | None


class Record(TypedDict):
    """Parts of a ``summary.json`` that the leaderboard reads."""

    pictures: dict[str, Count]
    ranking: Ranking
    calibrated: AtHalf | None
    uncalibrated: AtHalf
    oracle: Oracle
    worst: Worst | None
    mpbench: Table
    intervals: Intervals | None
    verdicts: NotRequired[list[Verdicts] | None]
    max_fpr: NotRequired[Share | None]

"""Rule by which a detector judges several crops of an image, which its calibration is of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from images.transforms.crops import Crops
    from images.transforms.views import View

Layout = Literal["center", "five", "tiles"]


@dataclass(frozen=True)
class CropRule:
    """Crops of an image, and how their logits become one.

    Attributes:
        crops: ``center``: the one crop of the detector's view; ``five``: corners and center;
            ``tiles``: squares that cover the image.
        pool: ``mean``, ``max``, or ``top-K`` for the mean of the K highest logits.

    Raises:
        ValueError: If there is no such pool, or a single crop is to be pooled.
    """

    crops: Layout = "center"
    pool: str = "mean"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"mean|max|top-[1-9]\d{0,3}", self.pool):
            msg = f"--pool is mean, max or top-K, such as top-3; got {self.pool}"
            raise ValueError(msg)
        if self.crops == "center" and self.pool != "mean":
            msg = f"--pool {self.pool} is for several crops: add --crops five or --crops tiles"
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return the options of the command line."""
        center = self.crops == "center"
        return "--crops center" if center else f"--crops {self.crops} --pool {self.pool}"

    @classmethod
    def given(cls, crops: Layout | None, pool: str | None) -> CropRule | None:
        """Build the rule of two options; None if neither is given.

        Raises:
            ValueError: See the class.
        """
        return None if crops is None and pool is None else cls(crops or "center", pool or "mean")

    def of(self, view: View) -> View | Crops:
        """Return the crops to take at the scale of a detector's view."""
        from images.transforms.crops import Crops

        return view if self.crops == "center" else Crops(view, self.crops)

    def pooled(self, logits: NDArray[np.float64]) -> float:
        """Pool the logits of an image's crops, (K,)."""
        if self.pool == "mean":
            return float(logits.mean())
        number = 1 if self.pool == "max" else int(self.pool.removeprefix("top-"))
        highest = sorted(logits.tolist())[-number:]
        return sum(highest) / len(highest)


CENTER = CropRule()
"""The one crop of a detector's view."""

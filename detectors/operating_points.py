"""Operating points: verdict thresholds with conformal error bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.statistics import conformal_bound


@dataclass(frozen=True)
class OperatingPoint:
    """Verdict thresholds on the logit, for one error rate.

    Attributes:
        max_fpr: Largest rate of wrong verdicts on each class: of real images called generated, and
            of generated images called real.
        real_below: Logit below which the verdict is "real"; None if it is never given.
        generated_above: Logit above which the verdict is "generated"; None if it is never given.
            From the one to the other the verdict is "unsure".

    Raises:
        ValueError: If a value is out of range.
    """

    max_fpr: float
    real_below: float | None = None
    generated_above: float | None = None

    def __post_init__(self) -> None:
        low = -np.inf if self.real_below is None else self.real_below
        high = np.inf if self.generated_above is None else self.generated_above
        if not 0 < self.max_fpr < 1 or not low <= high:
            msg = (
                "an operating point needs 0 < max_fpr < 1 and real_below <= generated_above, "
                f"got {self.max_fpr}, {self.real_below} and {self.generated_above}"
            )
            raise ValueError(msg)

    @classmethod
    def fit(
        cls, real: NDArray[np.float64], generated: NDArray[np.float64], rate: float
    ) -> OperatingPoint:
        """Find the thresholds of an error rate by split-conformal ranks.

        A new image is called generated only if its score is too high for a real one and not too
        low for a generated one, and the other way round. Where classes separate, images between
        them are like neither: "unsure".

        Args:
            real: (n,) logits of real images.
            generated: (m,) logits of generated images.
            rate: Largest error rate, between 0 and 1.
        """
        too_high = conformal_bound(real, rate)
        too_low = conformal_bound(-generated, rate)
        accuse = too_high
        clear = None if too_low is None else -too_low
        if accuse is not None and clear is not None:
            accuse, clear = max(accuse, clear), min(accuse, clear)
        return cls(rate, clear, accuse)

"""Calibration of a detector: Platt scaling, and verdicts with conformal error bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.calibration_format_1 import read_format_1
from detectors.calibration_record import (
    BETWEEN,
    OUTSIDE,
    UNCALIBRATED,
    CalibrationData,
    DomainData,
    Output,
)
from detectors.crop_rule import CENTER, CropRule
from detectors.operating_points import OperatingPoint
from detectors.platt import fit_platt
from detectors.scores import Scores, log_odds, sigmoid
from engine.files import write_text
from engine.records import read_json, to_json
from engine.statistics import least_scores

Verdict = Literal["real", "unsure", "generated"]

FILE = "calibration.json"

FORMAT = 2
"""Format of ``calibration.json``; 1 is that of files without a format."""

RATES = (0.01, 0.05)
"""Error rates that a calibration keeps operating points for, unless others are asked for."""

VERDICT_RATE = 0.05
"""Error rate of verdicts, unless another is asked for."""

PRIOR = 0.5
"""Share of generated images that a fitted P assumes: both classes have equal weight in the fit."""

REMEDY = "fit it again with python -m detectors calibrate"


def check_prevalence(prevalence: float | None) -> None:
    """Raise ValueError if a share of generated images is not between 0 and 1; None is none."""
    if prevalence is not None and not 0 < prevalence < 1:
        msg = f"--prevalence is a share between 0 and 1, got {prevalence}"
        raise ValueError(msg)


@dataclass(frozen=True)
class Calibration:
    """Platt scaling and operating points.

    Detectors are usually mis-offset, which temperature scaling cannot correct.

    Attributes:
        scale: Factor of the logit, above 0.
        bias: Offset of the scaled logit.
        prior: Share of generated images that P assumes, between 0 and 1.
        images: Number of images of the calibration set; 0 if not calibrated.
        points: Operating points, by ascending rate.
        conformal: Whether the thresholds bound the error rate on new images. Those of files of
            earlier versions do not: they are quantiles of the calibration set.
        data: Images of the calibration set; None if unknown.
        domain: Guard against images unlike those; None if there is none.
        crops: Crops of an image that are judged, and how their logits become one.
        max_fpr: Rate of the operating point that verdicts use; None for :data:`VERDICT_RATE`, or
            the largest one below. It is a choice of the user and not stored.

    Raises:
        ValueError: If a value is out of range.
    """

    scale: float = 1.0
    bias: float = 0.0
    prior: float = PRIOR
    images: int = 0
    points: tuple[OperatingPoint, ...] = ()
    conformal: bool = True
    data: CalibrationData | None = None
    domain: DomainData | None = None
    crops: CropRule = CENTER
    max_fpr: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf or not np.isfinite(self.bias) or self.images < 0:
            msg = (
                "scale must be above 0, bias finite and images at least 0, "
                f"got {self.scale}, {self.bias} and {self.images}"
            )
            raise ValueError(msg)
        if not 0 < self.prior < 1:
            msg = f"the share of generated images is between 0 and 1, got {self.prior}"
            raise ValueError(msg)

    @classmethod
    def fit(
        cls, scores: Scores, rates: Sequence[float] = RATES, crops: CropRule = CENTER
    ) -> Calibration:
        """Fit to the scores of a calibration set.

        Both classes have equal weight.

        Args:
            scores: Scores of images that neither training nor the choice of the detector used.
            rates: Error rates of the operating points, between 0 and 1.
            crops: Crops that the scores are of.

        Raises:
            ValueError: If the set holds one class only, or the detector ranks the classes the
                wrong way round.
        """
        scale, bias = fit_platt(scores)
        real = scores.logit[scores.label == 0]
        generated = scores.logit[scores.label == 1]
        points = tuple(OperatingPoint.fit(real, generated, rate) for rate in sorted(set(rates)))
        data = CalibrationData(len(real), len(generated))
        return cls(scale, bias, images=len(scores), points=points, data=data, crops=crops)

    def at(self, max_fpr: float | None = None, prevalence: float | None = None) -> Calibration:
        """Return the calibration with verdicts at a rate, and P for a share of generated images.

        Args:
            max_fpr: Rate of an operating point; None changes nothing.
            prevalence: Share of generated images that P assumes, between 0 and 1; None changes
                nothing. It moves the log-odds of P, and no verdict.

        Raises:
            ValueError: If there is no such operating point, or no calibration to move.
        """
        chosen = self
        if max_fpr is not None:
            self._check_point(max_fpr)
            chosen = replace(chosen, max_fpr=max_fpr)
        if prevalence is not None:
            if not self.images:
                msg = f"--prevalence needs a calibrated detector: {REMEDY}"
                raise ValueError(msg)
            check_prevalence(prevalence)
            bias = self.bias + log_odds(prevalence) - log_odds(self.prior)
            chosen = replace(chosen, bias=bias, prior=prevalence)
        return chosen

    def with_crops(self, rule: CropRule | None, name: str) -> Calibration:
        """Return the calibration for crops that are asked for.

        Args:
            rule: The crops; None for the calibration's.
            name: Name of the detector, for the message.

        Raises:
            ValueError: If the detector was calibrated on other crops.
        """
        if rule is None or rule == self.crops:
            return self
        if self.images:
            msg = (
                f"{name} was calibrated with {self.crops}, not {rule}: "
                "ask for those, or calibrate it again"
            )
            raise ValueError(msg)
        return replace(self, crops=rule)

    def _check_point(self, rate: float) -> None:
        """Raise ValueError if no image can be called generated at a rate."""
        point = next((point for point in self.points if point.max_fpr == rate), None)
        kept = ", ".join(f"{one.max_fpr:g}" for one in self.points) or "none"
        if point is None:
            msg = (
                f"no operating point at --max-fpr {rate:g}, kept are: {kept}; "
                f"python -m detectors calibrate --max-fpr {rate:g} adds it"
            )
            raise ValueError(msg)
        if point.generated_above is None:
            images = "" if self.data is None else f", it had {self.data.real}"
            msg = (
                f"--max-fpr {rate:g} takes a calibration on at least {least_scores(rate)} "
                f"real images{images}"
            )
            raise ValueError(msg)

    @property
    def point(self) -> OperatingPoint | None:
        """Operating point of the verdicts; None without a calibration."""
        rate = VERDICT_RATE if self.max_fpr is None else self.max_fpr
        below = [point for point in self.points if point.max_fpr <= rate]
        return below[-1] if below else next(iter(self.points), None)

    def probability(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the calibrated P(generated), at the share of generated images in ``prior``."""
        return sigmoid(self.scale * logit + self.bias)

    def verdicts(
        self,
        logit: NDArray[np.float64],
        distances: NDArray[np.float64] | None = None,
        point: OperatingPoint | None = None,
    ) -> NDArray[np.str_]:
        """Return the verdicts on images, (N,); all "unsure" without a calibration.

        Args:
            logit: (N,) outputs of the network.
            distances: (N, 2) distances from the classes; see :class:`Output`. An image is not
                called real or generated if it is unlike those of the calibration.
            point: Operating point; None for that of :attr:`point`.
        """
        point = point or self.point
        verdicts = np.full(np.shape(logit), "unsure", dtype="<U9")
        if point is not None and point.real_below is not None:
            verdicts[logit < point.real_below] = "real"
        if point is not None and point.generated_above is not None:
            verdicts[logit > point.generated_above] = "generated"
        if distances is not None:
            for of, name in enumerate(("real", "generated")):
                verdicts[(verdicts == name) & ~(distances[:, of] <= 1)] = "unsure"
        return verdicts

    def judge(self, output: Output) -> tuple[Verdict, str]:
        """Return the verdict on an image, and the reason if it is "unsure"."""
        logit = np.array([output.logit])
        verdict: Verdict = self.verdicts(logit)[0].item()
        if verdict == "unsure":
            return verdict, BETWEEN if self.points else UNCALIBRATED
        if output.distances is None:
            return verdict, ""
        inside: Verdict = self.verdicts(logit, np.array([output.distances]))[0].item()
        return inside, "" if inside == verdict else OUTSIDE

    def verdict(self, logit: float) -> Verdict:
        """Return the verdict on an image with this output, if it is like the calibration's."""
        return self.judge(Output(logit))[0]

    def save(self, folder: Path) -> None:
        """Write ``calibration.json`` into a model folder."""
        write_text(folder / FILE, to_json({"format": FORMAT} | calibration_values(self)))

    @classmethod
    def open(cls, folder: Path) -> Calibration:
        """Read a model folder's calibration; the identity if missing.

        Raises:
            ValueError: If the file is damaged.
        """
        file = folder / FILE
        if not file.is_file():
            return cls()
        values = read_json(file, dict[str, Any], REMEDY)
        if "format" not in values:
            return parse_calibration(read_format_1(file, REMEDY), str(file))
        if values.pop("format") != FORMAT:
            msg = f"{file}: of a format that this version does not read; update it, or {REMEDY}"
            raise ValueError(msg)
        values = {"domain": None, "crops": {}} | values
        known = {field.name for field in fields(cls)} - {"max_fpr"}
        if wrong := set(values) ^ known:
            msg = (
                f"{file}: not a calibration (unknown or missing: {', '.join(sorted(wrong))}); "
                f"{REMEDY}"
            )
            raise ValueError(msg)
        return parse_calibration(values, str(file))


def calibration_values(calibration: Calibration) -> dict[str, Any]:
    """Return the stored values of a calibration."""
    values = asdict(calibration)
    del values["max_fpr"]
    if calibration.crops == CENTER:
        del values["crops"]
    if calibration.data is not None:
        for name in ("histories", "copies"):
            if not values["data"][name]:
                del values["data"][name]
    if calibration.domain is not None and not calibration.domain.unlike:
        del values["domain"]["unlike"], values["domain"]["unlike_shards"]
    return values


def parse_calibration(values: dict[str, Any], name: str) -> Calibration:
    """Convert the values of a calibration file.

    Raises:
        ValueError: If one is of another type or out of range; the message begins with ``name``.
    """
    import msgspec

    try:
        return msgspec.convert(values, Calibration)
    except msgspec.MsgspecError as error:
        msg = f"{name}: damaged, or not of the expected structure ({error}); {REMEDY}"
        raise ValueError(msg) from error

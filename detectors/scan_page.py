"""Page of a scan: verdicts, findings, and images with heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import VERDICT_RATE
from detectors.guarantee import ensemble_words, history_words, per_cent, purpose_words
from detectors.heat_maps import heat_image
from detectors.operating_points import OperatingPoint
from engine.ordered import map_ahead
from engine.pages import shell
from engine.pages.charts import Bars, Scale, histogram
from engine.pages.data_urls import image_url
from images.inputs import ImageInput, find_images
from images.kinds import UnreadableImage

if TYPE_CHECKING:
    from detectors.calibration import Calibration
    from detectors.detector import Detector
    from detectors.ensemble import Ensemble
    from detectors.scan import Finding

MAX_IMAGES = 300
"""Images on a page."""

MAX_HEAT_MAPS = 20
"""Images with heat maps, which take as many forward passes as an image has windows."""

THREADS = 4
"""Threads that open images."""

MAX_WAITING_BYTES = 512 << 20
"""Memory of opened images that wait."""

MAX_ROWS = 5000
"""Rows of the page's table."""

THUMBNAIL_SIDE = 180
"""Side of the images, in pixels."""


def write_page(
    inputs: Sequence[Path],
    findings: Sequence[Finding],
    ensemble: Ensemble,
    target: Path,
) -> None:
    """Write a self-contained HTML file, with the images in it.

    Args:
        inputs: Inputs of the scan.
        findings: Its findings.
        ensemble: Its detectors, also for heat maps.
        target: File to write.
    """
    detectors = ensemble.detectors
    files = {file.name: file for file in find_images(inputs).images}
    # readable images, the most suspicious first
    readable = [row for row in findings if not row.error]
    ordered = sorted(readable, key=lambda row: -(row.logit or 0))
    shown = ordered[:MAX_IMAGES]
    figures = list(zip(shown, _figures(shown, files, detectors), strict=True))
    counts = {}
    for verdict in ("generated", "unsure", "real"):
        counts[verdict] = sum(row.verdict == verdict for row in ordered)
    shell.write_page(
        target,
        "detectors/scan.html",
        total=len(findings),
        counts=counts,
        failed=[row for row in findings if row.error],
        legend=legend(ensemble.calibration),
        bounds=ensemble_words(ensemble),
        purposes=[purpose_words(*purpose) for purpose in ensemble.purposes().items()],
        detectors=[_detector_row(name, detector) for name, detector in detectors.items()],
        bars=_bars(ordered),
        scale=Scale(0, 1, _thresholds(ensemble.calibration)),
        findings=ordered[:MAX_ROWS],
        figures=figures,
        heat=sum(len(images) > 1 for _, images in figures),
        lost=sum(not images for _, images in figures),
        shown=MAX_IMAGES,
    )


def _bars(readable: Sequence[Finding]) -> Bars:
    """Histogram of P by verdict; empty if no image has one."""
    values: dict[str, list[float]] = {"real": [], "unsure": [], "generated": []}
    for row in readable:
        if row.probability is not None:
            values[row.verdict].append(row.probability)
    return histogram(values) if any(values.values()) else []


def _thresholds(calibration: Calibration | None) -> list[float]:
    """P at the thresholds of the verdicts, as far as there are any."""
    point = calibration.point if calibration is not None else None
    if calibration is None or point is None:
        return []
    logits = (point.real_below, point.generated_above)
    return [
        float(calibration.probability(np.array(logit))) for logit in logits if logit is not None
    ]


def legend(calibration: Calibration | None) -> dict[str, str]:
    """Explain each verdict of a detector, or of several without a common calibration."""
    if calibration is None:
        return {
            "generated": "every detector says so",
            "real": "every detector says so",
            "unsure": "the detectors disagree, or one of them is unsure",
        }
    point = calibration.point or OperatingPoint(VERDICT_RATE)
    return {
        "generated": _at(calibration, "above", point.generated_above),
        "real": _at(calibration, "below", point.real_below),
        "unsure": "everything else; the column why says the reason",
    }


def _at(calibration: Calibration, side: str, logit: float | None) -> str:
    """Describe a threshold on the logit and on P; "never" without one."""
    if logit is None:
        return "never"
    probability = float(calibration.probability(np.array(logit)))
    return f"the logit is {side} {logit:.3f}, P {side} {probability:.3g}"


def _detector_row(name: str, detector: Detector) -> list[Any]:
    """Build a row of the detectors' table."""
    calibration = detector.calibration
    data = calibration.data
    fitted = f"{calibration.images} images" if calibration.images else "nothing"
    if data is not None:
        fitted = f"{data.real} real and {data.generated} generated images"
        fitted += f"{history_words(data)} {data.date}" if data.histories else f", {data.date}"
    point = calibration.point
    rate = "-" if point is None else per_cent(point.max_fpr)
    return [name, detector.kind, fitted, rate]


def _figures(
    rows: Sequence[Finding],
    files: Mapping[str, ImageInput],
    detectors: Mapping[str, Detector],
) -> Iterator[list[tuple[str, str]]]:
    """Render images and heat maps, as data URLs with descriptions.

    Images are opened in threads. The list of an image is empty if its file is gone.
    """

    def open_file(row: Finding) -> tuple[NDArray[np.uint8], str] | None:
        """Open a file and render its thumbnail; None if that fails."""
        if row.file not in files:
            return None
        try:
            rgb = files[row.file].open().on_white().rgb
        except (UnreadableImage, OSError):
            return None
        return rgb, image_url(rgb, THUMBNAIL_SIDE, "jpeg")

    def size(row: Finding) -> int:
        return 3 * (row.width or 0) * (row.height or 0)

    opened = map_ahead(open_file, rows, THREADS, size, MAX_WAITING_BYTES, 4 * THREADS)
    for number, (row, image) in enumerate(opened):
        if image is None:
            yield []
            continue
        rgb, url = image
        images = [(url, row.file)]
        for name, detector in detectors.items() if number < MAX_HEAT_MAPS else ():
            heat = heat_image(rgb, detector)
            if heat is not None:
                url = image_url(heat, THUMBNAIL_SIDE, "jpeg")
                images.append((url, f"heat map of {row.file} by {name}"))
        yield images

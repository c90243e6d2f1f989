"""Page of a scan: verdicts, findings, and images with heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import VERDICT_RATE
from detectors.guarantee import ensemble_words, per_cent, purpose_words
from detectors.operating_points import OperatingPoint
from engine.pages import shell
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
    figures = []
    for row in ordered[:MAX_IMAGES]:
        figures.append((row, _images(files.get(row.file), row.file, detectors)))
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
        findings=ordered[:MAX_ROWS],
        figures=figures,
        heat=any(len(images) > 1 for _, images in figures),
        lost=sum(not images for _, images in figures),
        shown=MAX_IMAGES,
    )


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
        fitted = f"{data.real} real and {data.generated} generated images, {data.date}"
    point = calibration.point
    rate = "-" if point is None else per_cent(point.max_fpr)
    return [name, detector.kind, fitted, rate]


def _images(
    file: ImageInput | None, name: str, detectors: Mapping[str, Detector]
) -> list[tuple[str, str]]:
    """Render an image and its heat maps, as data URLs with descriptions.

    The list is empty if the file is gone.
    """
    if file is None:
        return []
    try:
        rgb = file.open().rgb
    except (UnreadableImage, OSError):
        return []
    images = [(image_url(rgb, THUMBNAIL_SIDE, "jpeg"), name)]
    for detector_name, detector in detectors.items():
        heat = heat_image(rgb, detector)
        if heat is not None:
            url = image_url(heat, THUMBNAIL_SIDE, "jpeg")
            images.append((url, f"heat map of {name} by {detector_name}"))
    return images


def heat_image(rgb: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8] | None:
    """Render a heat map over the detector's view of an image.

    Args:
        rgb: (H, W, 3) uint8.
        detector: Detector to explain.

    Returns:
        (S, S, 3) uint8, brighter where it looks more generated; None for networks without local
        logits.
    """
    import matplotlib as mpl
    import torch

    view = detector.view(rgb, np.random.default_rng(0)).unsqueeze(0)
    with torch.no_grad():
        heat = detector.heat_map(view.to(next(detector.parameters()).device))
    if heat is None:
        return None
    colored = mpl.colormaps["inferno"](heat[0].cpu().numpy())[..., :3]
    mixed = 0.45 * view[0].permute(1, 2, 0).numpy() + 0.55 * colored
    return (mixed * 255).astype(np.uint8)

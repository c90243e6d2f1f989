"""Page of a scan: what the verdicts mean, all findings, and the images with heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.pages import shell
from engine.pages.data_urls import image_url
from images.inputs import ImageInput, find_images
from images.io import UnreadableImage

if TYPE_CHECKING:
    from detectors.calibration import Calibration
    from detectors.detector import Detector
    from detectors.scan import Finding

SHOWN = 300
"""Images on a page."""
LISTED = 5000
"""Lines of its table."""
SIDE = 180


def write_page(
    inputs: Sequence[Path],
    found: Sequence[Finding],
    detectors: Mapping[str, Detector],
    target: Path,
) -> None:
    """Write one HTML file that needs nothing beside it; the images are in it.

    Args:
        inputs: As the scan's.
        found: Its findings.
        detectors: By the names they were asked for by; also for heat maps.
        target: The file.
    """
    files = {file.name: file for file in find_images(inputs).images}
    ordered = sorted(
        (row for row in found if not row.error), key=lambda row: -(row.probability or 0)
    )
    figures = [(row, _images(files.get(row.file), row.file, detectors)) for row in ordered[:SHOWN]]
    calibrations = {name: detector.calibration for name, detector in detectors.items()}
    shell.write_page(
        target,
        "detectors/scan.html",
        total=len(found),
        counts={
            kind: sum(row.verdict == kind for row in ordered)
            for kind in ("generated", "unsure", "real")
        },
        failed=[row for row in found if row.error],
        calibrated=all(calibration.pictures for calibration in calibrations.values()),
        legend=legend(list(calibrations.values())),
        detectors=[_detector(name, detector) for name, detector in detectors.items()],
        findings=ordered[:LISTED],
        figures=figures,
        heat=any(len(images) > 1 for _, images in figures),
        lost=sum(not images for _, images in figures),
        shown=SHOWN,
    )


def legend(calibrations: Sequence[Calibration]) -> dict[str, str]:
    """What each verdict of detectors with these calibrations means."""
    if len(calibrations) > 1:
        return {
            "generated": "every detector says so",
            "real": "every detector says so",
            "unsure": "the detectors disagree, or one of them is unsure",
        }
    one = calibrations[0]
    never = "never said by this detector: its two thresholds are one"
    return {
        "generated": f"P is {one.generated_above:.3f} or more",
        "real": f"P is below {one.real_below:.3f}",
        "unsure": "P is between the two" if one.real_below < one.generated_above else never,
    }


def _detector(name: str, detector: Detector) -> list[Any]:
    """The line of a detector."""
    how = detector.calibration
    fitted = f"{how.pictures} images" if how.pictures else "nothing"
    return [name, detector.kind, fitted, f"{how.real_below:.3f}", f"{how.generated_above:.3f}"]


def _images(
    file: ImageInput | None, name: str, detectors: Mapping[str, Detector]
) -> list[tuple[str, str]]:
    """Thumbnails of an image and its heat maps, with descriptions; none if its file is gone."""
    try:
        if file is None:
            return []
        rgb = file.open().rgb
    except (UnreadableImage, OSError):
        return []
    heat = [(found, f"heat map of {name} by {one}") for one, detector in detectors.items()
            if (found := heat_image(rgb, detector)) is not None]  # fmt: skip
    return [(image_url(levels, SIDE, "jpeg"), alt) for levels, alt in [(rgb, name), *heat]]


def heat_image(rgb: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8] | None:
    """Heat map over what the detector sees of an image; None for networks without places.

    Args:
        rgb: (H, W, 3).
        detector: Whose.

    Returns:
        (S, S, 3), the brighter a place, the more generated it looks.
    """
    import matplotlib as mpl
    import torch

    view = detector.view(rgb, np.random.default_rng(0)).unsqueeze(0)
    with torch.no_grad():
        heat = detector.heat(view.to(next(detector.parameters()).device))
    if heat is None:
        return None
    coloured = mpl.colormaps["inferno"](heat[0].cpu().numpy())[..., :3]
    mixed = 0.45 * view[0].permute(1, 2, 0).numpy() + 0.55 * coloured
    return (mixed * 255).astype(np.uint8)

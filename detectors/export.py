"""Detectors as ONNX files, and as pages for browsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints.folders import model_path
from detectors.calibration_record import BETWEEN, OUTSIDE, UNCALIBRATED
from detectors.crop_rule import CENTER
from detectors.detector import Detector
from detectors.domain_features import recorded_features, view_statistics
from detectors.ensemble import Ensemble
from detectors.guarantee import ensemble_words, purpose_words
from engine.browser.build import BrowserPage, build_page
from engine.manifest import fingerprint
from engine.onnx_files import onnx_file, run_onnx

MOST_DIFFERENCE = 1e-3
"""Largest difference of a logit or a distance, as a share of it where it is above 1."""

SQUARES = {
    "crop": "The square of {size} pixels in the center is judged; smaller images are enlarged.",
    "tile_crop": "The square of {size} pixels in the center is judged; smaller images are "
    "repeated.",
}
"""Part of the image that is judged, by the policy of the view."""

RESIZED = (
    "The shorter side is resized to {resize} pixels, and the square of {size} pixels in the center "
    "is judged."
)
"""Part of the image that is judged by the other policies."""


class WithDistances(nn.Module):
    """Network of a detector that also computes distances from the classes of the calibration.

    Args:
        detector: The detector, on the CPU; with a domain.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        assert detector.domain is not None
        self.network = detector.network
        self.domain = detector.domain

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits, (B,), and distances, (B, 2), of (B, 3, S, S) views in [0, 1]."""
        with recorded_features(self.network) as recorded:
            logits = self.network(images)
        features = torch.cat([*recorded, view_statistics(images)], dim=1)
        return logits, self.domain.tensor_distances(features[:, : len(self.domain.scale)])


def open_exportable(weights: str) -> tuple[Ensemble, Detector]:
    """Open a detector whose verdicts a file or a page can repeat.

    Args:
        weights: Folder, Hub id or .ckpt file.

    Raises:
        ValueError: If it is an ensemble, judges several crops, or its view is random or of no
            fixed size.
    """
    ensemble = Ensemble.open([weights])
    if len(ensemble.detectors) > 1:
        msg = f"{weights}: an ensemble; export one detector"
        raise ValueError(msg)
    [detector] = ensemble.detectors.values()
    view = detector.view
    random = (view.random, view.blur, view.jpeg, view.rotate, view.jitter, view.mask)
    if detector.calibration.crops != CENTER:
        msg = (
            f"{weights}: calibrated with {detector.calibration.crops}, and an exported detector "
            "judges the crop in the center: calibrate it again with --crops center"
        )
        raise ValueError(msg)
    if any(random) or view.policy == "whole":
        msg = f"{weights}: its view is random or of no fixed size, which cannot be exported"
        raise ValueError(msg)
    return ensemble, detector.eval()


def export_onnx(detector: Detector, target: Path) -> float:
    """Write an ONNX file, and compare it with the detector.

    The file maps ``images``, (1, 3, S, S) float32 RGB in [0, 1], to ``logits``, (1,), and, with a
    domain, ``distances``, (1, 2).

    Args:
        detector: The detector, on the CPU.
        target: File to write.

    Returns:
        Largest difference of a logit.

    Raises:
        ValueError: If packages are missing, the network cannot be exported, or the file differs
            by more than :data:`MOST_DIFFERENCE`.
    """
    guarded = detector.domain is not None
    network = (WithDistances(detector) if guarded else detector.network).eval()
    outputs = ["logits", "distances"] if guarded else ["logits"]
    side = detector.view.size
    facts = {"image_size": str(side)}
    random = torch.Generator().manual_seed(0)
    images_u8 = torch.randint(0, 256, (4, 3, side, side), generator=random, dtype=torch.uint8)
    images_u8[2:] //= 8  # dark ones, too
    example = images_u8[:1].float() / 255
    with onnx_file(network, example, outputs, target, facts, any_batch=False) as partial:
        largest = 0.0
        for image_u8, output in zip(images_u8, detector.outputs_of(list(images_u8)), strict=True):
            results = run_onnx(partial, image_u8[None].float() / 255)
            computed = [value for result in results for value in result.flatten().tolist()]
            expected = [output.logit, *(output.distances or ())]
            for ours, theirs in zip(computed, expected, strict=True):
                if abs(ours - theirs) > MOST_DIFFERENCE * max(1, abs(theirs)):
                    msg = (
                        f"{target}: gives {ours:.6g} where the detector gives {theirs:.6g}; "
                        "nothing was written"
                    )
                    raise ValueError(msg)
            largest = max(largest, abs(computed[0] - expected[0]))
    return largest


def export_page(
    weights: str, ensemble: Ensemble, detector: Detector, target: Path
) -> tuple[float, int]:
    """Write the folder of a page that judges images.

    Args:
        weights: Name of the detector.
        ensemble: The detector with its card; see :func:`open_exportable`.
        detector: The detector, on the CPU.
        target: Folder to write.

    Returns:
        Largest difference of a logit, and bytes of the network.

    Raises:
        FileNotFoundError: If onnxruntime-web is not installed.
        ValueError: See :func:`export_onnx`.
    """
    [(name, purpose)] = ensemble.purposes().items()
    view = detector.view
    settings = {
        "policy": view.policy,
        "size": view.size,
        "resize": view.resize,
        "interpolation": view.interpolation,
    }
    page = BrowserPage(
        "detectors.browser",
        "check.html",
        purpose_words(Path(name).name, purpose),
        {"view": settings} | verdict_facts(detector),
        {
            "words": ensemble_words(ensemble),
            "view": SQUARES.get(view.policy, RESIZED).format(size=view.size, resize=view.resize),
        },
    )
    differences = []
    size = build_page(
        page,
        lambda file: differences.append(export_onnx(detector, file)),
        target,
        command="detectors export",
        weights=fingerprint(weights, model_path(weights)),
    )
    return differences[0], size


def verdict_facts(detector: Detector) -> dict[str, Any]:
    """Return what a verdict takes beside a logit and the distances: thresholds and words."""
    calibration = detector.calibration
    point = calibration.point
    factors = None if detector.domain is None else detector.domain.factors
    return {
        "scale": calibration.scale,
        "bias": calibration.bias,
        "real_below": None if point is None else point.real_below,
        "generated_above": None if point is None else point.generated_above,
        "unsure": BETWEEN if calibration.points else UNCALIBRATED,
        "outside": OUTSIDE,
        "factors": None if factors is None else factors.tolist(),
    }

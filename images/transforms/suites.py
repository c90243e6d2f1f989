"""Suites of edits for the evaluation of detection and retrieval."""

from __future__ import annotations

from images.transforms.chains import Chain, RandomChain
from images.transforms.codecs import JPEG, WebP
from images.transforms.color import Brightness, Contrast, Gamma, Hue
from images.transforms.filters import Blur, GaussianBlur, Noise
from images.transforms.geometry import CenterCrop, LongestSide, RandomCrop, Resize, ResizeArea
from images.transforms.overlays import MemeFormat, Screenshot, ScreenshotFrame
from images.transforms.protocol import Edit
from images.transforms.warps import Rotation

Suite = dict[str, dict[str, Edit]]
"""Edits by kind and parameter."""

PAPER: Suite = {
    "none": {"": Chain(())},
    "auto": {"": RandomChain()},
    "meme_format": {"": MemeFormat()},
    "overlay_onto_screenshot": {"": ScreenshotFrame()},
    "rotation": {"25": Rotation(25), "90": Rotation(90)},
    "center_crop": {"0.5": CenterCrop(0.5)},
    "resize": {"0.5": ResizeArea(0.5)},
    "blur": {"11": GaussianBlur(11)},
    "jpeg": {"50": JPEG(50)},
    "hue": {"0.2": Hue(0.2)},
    "contrast": {"0.5": Contrast(0.5), "2.0": Contrast(2.0)},
    "brightness": {"0.5": Brightness(0.5), "2.0": Brightness(2.0)},
}
"""The 15 edits of active indexing (arXiv 2210.10620, section 5.1)."""

ROBUSTNESS: Suite = {
    "jpeg": {str(quality): JPEG(quality) for quality in (96, 90, 80, 70, 60, 50, 40, 30)},
    "webp": {str(quality): WebP(quality) for quality in (90, 70, 50, 30)},
    "blur": {str(sigma): Blur(sigma) for sigma in (0.5, 1.0, 1.5, 2.0, 3.0)},
    "noise": {str(sigma): Noise(sigma) for sigma in (2.0, 5.0, 10.0, 20.0)},
    "resize": {str(factor): Resize(factor) for factor in (1.5, 1.25, 0.75, 0.5, 0.25)},
    "crop": {str(share): RandomCrop(share) for share in (0.9, 0.75, 0.5)},
    "gamma": {str(gamma): Gamma(gamma) for gamma in (0.7, 1.4)},
    "social": {
        "768 px, jpeg 60": Chain((LongestSide(768), JPEG(60))),
        "512 px, jpeg 40": Chain((LongestSide(512), JPEG(40))),
        "jpeg 75 twice": JPEG(75, times=2),
        "screenshot": Screenshot(),
    },
}
"""Edits of the detectors' robustness test, mild to strong."""


def sweep() -> Suite:
    """Build active indexing's sweep of 104 edits by strength."""
    tenths = [number / 10 for number in range(1, 11)]
    factors = [number / 10 for number in range(5, 20)]
    return {
        "rotation": {str(degrees): Rotation(degrees) for degrees in range(-90, 100, 10)},
        "center_crop": {str(area): CenterCrop(area) for area in tenths},
        "resize": {str(area): ResizeArea(area) for area in tenths},
        "blur": {str(kernel): GaussianBlur(kernel) for kernel in range(3, 31, 2)},
        "jpeg": {str(quality): JPEG(quality) for quality in range(10, 101, 10)},
        "contrast": {str(factor): Contrast(factor) for factor in factors},
        "brightness": {str(factor): Brightness(factor) for factor in factors},
        "hue": {str(number / 10): Hue(number / 10) for number in range(-5, 6)},
    }


SUITES = {"paper": PAPER, "sweep": sweep()}
"""Suites of ``eval retrieval``, by name."""


def flatten_suite(suite: Suite) -> list[tuple[str, str, Edit]]:
    """List kind, parameter and edit of a suite, in order."""
    rows = []
    for kind, edits in suite.items():
        rows += [(kind, parameter, edit) for parameter, edit in edits.items()]
    return rows

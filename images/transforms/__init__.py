"""Edits that copies of a picture go through on the net, and that copy detection is measured under."""

from __future__ import annotations

from images.transforms.chain import RandomChain
from images.transforms.corruptions import JPEG, Edit
from images.transforms.drawing import MemeFormat, ScreenshotFrame
from images.transforms.edits import Brightness, CenterCrop, Contrast, GaussianBlur, Hue, Rescale, Rotation, Unchanged, sweep

__all__ = ["PAPER", "SUITES", "RandomChain", "flat", "sweep"]

PAPER: dict[str, dict[str, Edit]] = {
    "none": {"": Unchanged()},
    "auto": {"": RandomChain()},
    "meme_format": {"": MemeFormat()},
    "overlay_onto_screenshot": {"": ScreenshotFrame()},
    "rotation": {"25": Rotation(25), "90": Rotation(90)},
    "center_crop": {"0.5": CenterCrop(0.5)},
    "resize": {"0.5": Rescale(0.5)},
    "blur": {"11": GaussianBlur(11)},
    "jpeg": {"50": JPEG(50)},
    "hue": {"0.2": Hue(0.2)},
    "contrast": {"0.5": Contrast(0.5), "2.0": Contrast(2.0)},
    "brightness": {"0.5": Brightness(0.5), "2.0": Brightness(2.0)},
}
"""The paper's 15 edits, by kind and parameter."""

SUITES = {"paper": PAPER, "sweep": sweep()}
"""Sets of edits by name."""


def flat(suite: dict[str, dict[str, Edit]]) -> list[tuple[str, str, Edit]]:
    """Kind, parameter and edit, in order."""
    return [(kind, parameter, edit) for kind, edits in suite.items() for parameter, edit in edits.items()]

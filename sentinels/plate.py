"""Setting a key into a picture: on its flattest region, in perspective, in colours of its own.

Letters: H, W = picture height and width in pixels; n = letters of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Levels = NDArray[np.uint8]
Points = NDArray[np.float32]

LETTER_HEIGHT = 96
"""Pixels of a letter before it is brought to its place."""

GAP = 0.16
"""Space between letters, in letter heights."""

MARGIN = 0.25
"""Space around the key on its plate, in letter heights."""


@dataclass(frozen=True)
class PlateStyle:
    """How a key is set.

    Attributes:
        width: Width of the key as a share of the picture's, drawn between these two.
        tilt: Largest turn in the plane, in degrees.
        perspective: Largest shift of a corner, as a share of the plate's height.
        contrast: Least difference in lightness between letters and plate, in grey levels.
        flatten: How much of the picture's texture the plate takes away under the letters, 0 to 1.

    Raises:
        ValueError: If one is out of range.
    """

    width: tuple[float, float] = (0.62, 0.88)
    tilt: float = 6.0
    perspective: float = 0.12
    contrast: float = 90.0
    flatten: float = 0.7

    def __post_init__(self) -> None:
        low, high = self.width
        if not (
            0.1 <= low <= high <= 0.95 and 0 <= self.tilt <= 30 and 0 <= self.perspective <= 0.4
        ):
            msg = f"a plate's width is within 0.1 to 0.95, its tilt 0 to 30 degrees, its perspective 0 to 0.4: {self}"
            raise ValueError(msg)
        if not (10 <= self.contrast <= 200 and 0 <= self.flatten <= 1):
            msg = f"a plate's contrast is 10 to 200 grey levels and its flatten 0 to 1: {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Plate:
    """A picture with a key in it.

    ``rgb`` is (H, W, 3) uint8; ``corners`` (4, 2) are the plate's, clockwise from its top left, and ``centres`` (n, 2) the letters',
    both as x and y in pixels; ``height`` is that of a letter in pixels.
    """

    rgb: Levels
    corners: Points
    centres: Points
    height: float


def set_key(
    rgb: Levels, key: str, rng: np.random.Generator, style: PlateStyle = PlateStyle()
) -> Plate:
    """Set a key into a picture.

    Args:
        rgb: The picture, (H, W, 3), at least 32 pixels a side.
        key: Letters A to Z.
        rng: Of place, tilt and colour.
        style: How.

    Raises:
        ValueError: If the picture is too small.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < 32:
        msg = f"a picture of {width}x{height} pixels is too small for a key; at least 32x32 are needed"
        raise ValueError(msg)
    mask, centres = lettering(key)
    scale = min(rng.uniform(*style.width) * width / mask.shape[1], 0.5 * height / mask.shape[0])
    size = np.array([mask.shape[1], mask.shape[0]]) * scale
    middle = _flattest(rgb, size, rng)
    corners = _in_perspective(middle, size, rng, style, (width, height))
    flat = np.array(
        [[0, 0], [mask.shape[1], 0], [mask.shape[1], mask.shape[0]], [0, mask.shape[0]]], np.float32
    )
    warp: NDArray[np.float64] = np.asarray(cv2.getPerspectiveTransform(flat, corners), np.float64)
    letters = _warped(mask, warp, (width, height), 4 if max(width, height) <= 512 else 2)
    edge = max(0.8, 0.06 * size[1])
    plate = np.asarray(
        cv2.GaussianBlur(_warped(np.full_like(mask, 255), warp, (width, height), 1), (0, 0), edge),
        np.float32,
    )
    return Plate(
        _composed(rgb, letters, plate, rng, style),
        corners,
        cv2.perspectiveTransform(centres[None], warp)[0],
        float(LETTER_HEIGHT * scale),
    )


@lru_cache(maxsize=512)
def lettering(key: str) -> tuple[Levels, Points]:
    """A key in white on black, with margins, (h, w) uint8; and the centres of its letters, (n, 2)."""
    font = _font()
    top, bottom = font.getbbox("H")[1::2]
    gap, margin = GAP * LETTER_HEIGHT, round(MARGIN * LETTER_HEIGHT)
    widths = [font.getlength(letter) for letter in key]
    total = sum(widths) + gap * (len(key) - 1)
    image = Image.new("L", (round(total) + 2 * margin, round(bottom - top) + 2 * margin))
    drawing, x, centres = ImageDraw.Draw(image), float(margin), []
    for letter, width in zip(key, widths, strict=True):
        drawing.text((x, margin - top), letter, 255, font, stroke_width=2)
        centres.append((x + width / 2, image.height / 2))
        x += width + gap
    return np.asarray(image), np.array(centres, np.float32).reshape(-1, 2)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font, so that nothing of the system is needed, at the size that makes capitals LETTER_HEIGHT high."""
    probe = ImageFont.load_default(100)
    assert isinstance(probe, ImageFont.FreeTypeFont)
    top, bottom = probe.getbbox("H")[1::2]
    made = ImageFont.load_default(100 * LETTER_HEIGHT / (bottom - top))
    assert isinstance(made, ImageFont.FreeTypeFont)
    return made


def _flattest(
    rgb: Levels, size: NDArray[np.float64], rng: np.random.Generator, tries: int = 24
) -> NDArray[np.float64]:
    """Middle of the rectangle with the least texture of some drawn at random."""
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    texture = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    sums = cv2.integral(texture)
    half = np.minimum(size * 0.56, np.array([width, height]) / 2 - 1)
    middles = rng.uniform(half, np.array([width, height]) - half, (tries, 2))
    low, high = (middles - half).astype(int), (middles + half).astype(int)
    (x0, y0), (x1, y1) = low.T, high.T
    cost = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return middles[int(cost.argmin())]


def _in_perspective(
    middle: NDArray[np.float64],
    size: NDArray[np.float64],
    rng: np.random.Generator,
    style: PlateStyle,
    frame: tuple[int, int],
) -> Points:
    """Corners of the plate, turned, skewed, and inside the frame."""
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
    flat = flat + rng.uniform(-1, 1, (4, 2)) * style.perspective * size[1] * np.array([0.5, 1])
    angle = np.deg2rad(rng.uniform(-1, 1) * style.tilt)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = middle + flat @ turn
    bound = np.array(frame) - 1
    spread = np.ptp(corners, axis=0)
    if (spread > bound).any():
        corners = middle + (corners - middle) * (bound / spread).min()
    corners = (
        corners - np.minimum(corners.min(axis=0), 0) - np.maximum(corners.max(axis=0) - bound, 0)
    )
    return corners.astype(np.float32)


def _warped(
    mask: Levels, warp: NDArray[np.float64], frame: tuple[int, int], enlarge: int
) -> NDArray[np.float32]:
    """A mask in its place, in [0, 1]; drawn larger and averaged, so that thin strokes stay whole."""
    grown = cv2.warpPerspective(
        mask, np.diag([enlarge, enlarge, 1.0]) @ warp, (frame[0] * enlarge, frame[1] * enlarge)
    )
    return np.asarray(
        cv2.resize(grown, frame, interpolation=cv2.INTER_AREA), np.float32
    ) / np.float32(255)


def _composed(
    rgb: Levels,
    letters: NDArray[np.float32],
    plate: NDArray[np.float32],
    rng: np.random.Generator,
    style: PlateStyle,
) -> Levels:
    """The picture with a plate of its own blurred colours, and letters of another of its colours, dark or light enough to be read."""
    picture = rgb.astype(np.float32)
    soft = cv2.GaussianBlur(picture, (0, 0), max(2.0, 0.06 * min(rgb.shape[:2])))
    share = (plate > 0.5)[..., None]
    ground = ((picture * share).sum((0, 1)) / max(1, share.sum())).astype(np.float32)
    panel = soft + style.flatten * (ground - soft)
    shown = picture + (plate * style.flatten)[..., None] * (panel - picture)
    ink = _readable(
        picture.reshape(-1, 3)[rng.integers(len(picture.reshape(-1, 3)))], ground, style.contrast
    )
    shade = shown.mean(axis=2, keepdims=True) / max(
        1.0, float(ground.mean())
    )  # the picture's light falls on the letters, too
    inked = ink * np.clip(shade, 0.75, 1.25)
    return np.clip(shown + letters[..., None] * (inked - shown), 0, 255).round().astype(np.uint8)


def _readable(
    colour: NDArray[np.float32], ground: NDArray[np.float32], contrast: float
) -> NDArray[np.float32]:
    """A colour moved towards black or white until its lightness is far enough from the ground's."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    under = float(ground @ weights)
    aim = under - contrast if under > 128 else under + contrast
    now = float(colour @ weights)
    if (aim < under and now <= aim) or (aim > under and now >= aim):
        return colour
    if aim < under:
        return (colour * max(0.0, aim) / max(now, 1.0)).astype(np.float32)
    return (255 - (255 - colour) * (255 - min(255.0, aim)) / max(255 - now, 1.0)).astype(np.float32)

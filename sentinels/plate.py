"""Lettering of a key into an image: on a quiet place, in perspective, in the image's colors.

CLIP-like retrievers see an image's center square, so the key lies inside it.

Letters: H, W = image height and width in pixels; n = letters of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from images.transforms.protocol import RGBImage
from images.transforms.windows import center_window
from sentinels.placement import quiet_place

GrayImage = NDArray[np.uint8]
Points = NDArray[np.float32]

MIN_SIDE_PX = 32
"""Least height and width of an image."""

LETTER_HEIGHT_PX = 96
"""Height of a rendered letter before it is warped into the image."""

LETTER_GAP = 0.16
"""Space between letters, in letter heights."""

PLATE_MARGIN = 0.25
"""Space around the key on its plate, in letter heights."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma (Rec. 601)."""


@dataclass(frozen=True)
class PlateStyle:
    """Ranges of a plate's size, tilt and contrast.

    Attributes:
        width: Range of the key's width, as a share of the center square's, within 0.1 to 0.95.
        tilt: Largest rotation in the image plane, 0 to 30 degrees.
        perspective: Largest shift of a corner, as a share of the plate's height, 0 to 0.4.
        contrast: Least luma difference between letters and plate, 10 to 200 gray levels.
        flatten: Share of the image's texture removed under the letters, 0 to 1.

    Raises:
        ValueError: If a value is out of range.
    """

    width: tuple[float, float] = (0.62, 0.88)
    tilt: float = 6.0
    perspective: float = 0.12
    contrast: float = 90.0
    flatten: float = 0.7

    def __post_init__(self) -> None:
        low, high = self.width
        if not 0.1 <= low <= high <= 0.95:
            msg = f"a plate's width must be a range within 0.1 to 0.95, got {low:g} to {high:g}"
            raise ValueError(msg)
        if not (0 <= self.tilt <= 30 and 0 <= self.perspective <= 0.4):
            msg = (
                "a plate's tilt must be 0 to 30 degrees and its perspective 0 to 0.4, "
                f"got {self.tilt:g} and {self.perspective:g}"
            )
            raise ValueError(msg)
        if not (10 <= self.contrast <= 200 and 0 <= self.flatten <= 1):
            msg = (
                "a plate's contrast must be 10 to 200 gray levels and its flatten 0 to 1, "
                f"got {self.contrast:g} and {self.flatten:g}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class Plate:
    """An image with a key lettered into it.

    Attributes:
        rgb: The image, (H, W, 3) uint8.
        corners: Corners of the plate, (4, 2) as x and y in pixels, clockwise from the top left.
        centers: Centers of the letters, (n, 2) as x and y in pixels.
        height: Height of a letter in pixels.
    """

    rgb: RGBImage
    corners: Points
    centers: Points
    height: float


def set_key(
    rgb: RGBImage, key: str, rng: np.random.Generator, style: PlateStyle = PlateStyle()
) -> Plate:
    """Letter a key into an image.

    Args:
        rgb: The image, (H, W, 3) uint8, at least 32 pixels a side.
        key: Letters A to Z.
        rng: Generator of place, tilt and color.
        style: Ranges of size, tilt and contrast.

    Raises:
        ValueError: If the image is too small.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        msg = (
            f"an image of {width}x{height} pixels is too small for a key; "
            f"at least {MIN_SIDE_PX}x{MIN_SIDE_PX} are needed"
        )
        raise ValueError(msg)
    # Render the key, and choose its size.
    mask, centers = lettering(key)
    mask_size = np.array([mask.shape[1], mask.shape[0]])
    side = min(height, width)
    scale = min(rng.uniform(*style.width) * side / mask_size[0], 0.5 * side / mask_size[1])
    size = mask_size * scale
    # Choose its place in the center square, and the perspective transform to it.
    rows, columns = center_window((height, width), (side, side))
    center = quiet_place(np.ascontiguousarray(rgb[rows, columns]), size, rng)
    corners = _perspective_corners(center, size, rng, style, (side, side))
    corners += np.array([columns.start, rows.start], np.float32)
    mask_corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * mask_size
    warp: NDArray[np.float64] = np.asarray(
        cv2.getPerspectiveTransform(mask_corners.astype(np.float32), corners), np.float64
    )
    # Warp letters and plate, and blend them into the image.
    supersampling = 4 if max(width, height) <= 512 else 2
    letters = _warp_mask(mask, warp, (width, height), supersampling)
    plate = _warp_mask(np.full_like(mask, 255), warp, (width, height), 1)
    edge_sigma = max(0.8, 0.06 * size[1])
    plate = np.asarray(cv2.GaussianBlur(plate, (0, 0), edge_sigma), np.float32)
    return Plate(
        rgb=_blend(rgb, letters, plate, rng, style),
        corners=corners,
        centers=cv2.perspectiveTransform(centers[None], warp)[0],
        height=float(LETTER_HEIGHT_PX * scale),
    )


@lru_cache(maxsize=512)
def lettering(key: str) -> tuple[GrayImage, Points]:
    """Render a key in white on black, with margins.

    Returns:
        The rendering, (h, w) uint8, and the centers of its letters, (n, 2) in pixels.
    """
    font = _font()
    top, bottom = font.getbbox("H")[1::2]
    gap = LETTER_GAP * LETTER_HEIGHT_PX
    margin = round(PLATE_MARGIN * LETTER_HEIGHT_PX)
    widths = [font.getlength(letter) for letter in key]
    total = sum(widths) + gap * (len(key) - 1)
    image = Image.new("L", (round(total) + 2 * margin, round(bottom - top) + 2 * margin))
    drawing = ImageDraw.Draw(image)
    x = float(margin)
    centers = []
    for letter, width in zip(key, widths, strict=True):
        drawing.text((x, margin - top), letter, 255, font, stroke_width=2)
        centers.append((x + width / 2, image.height / 2))
        x += width + gap
    return np.asarray(image), np.array(centers, np.float32).reshape(-1, 2)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    """Load Pillow's built-in font with capitals of LETTER_HEIGHT_PX."""
    probe = ImageFont.load_default(100)
    assert isinstance(probe, ImageFont.FreeTypeFont)
    top, bottom = probe.getbbox("H")[1::2]
    font = ImageFont.load_default(100 * LETTER_HEIGHT_PX / (bottom - top))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _perspective_corners(
    center: NDArray[np.float64],
    size: NDArray[np.float64],
    rng: np.random.Generator,
    style: PlateStyle,
    frame: tuple[int, int],
) -> Points:
    """Return the plate's corners (4, 2): rotated, skewed, and inside the frame."""
    # Shift the corners of an upright rectangle, and rotate them.
    offsets = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
    offsets = offsets + rng.uniform(-1, 1, (4, 2)) * style.perspective * size[1] * np.array(
        [0.5, 1]
    )
    angle = np.deg2rad(rng.uniform(-1, 1) * style.tilt)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = center + offsets @ rotation
    # Shrink and move the plate into the frame.
    bound = np.array(frame) - 1
    extent = np.ptp(corners, axis=0)
    if (extent > bound).any():
        corners = center + (corners - center) * (bound / extent).min()
    below = np.minimum(corners.min(axis=0), 0)
    above = np.maximum(corners.max(axis=0) - bound, 0)
    return (corners - below - above).astype(np.float32)


def _warp_mask(
    mask: GrayImage, warp: NDArray[np.float64], frame: tuple[int, int], supersampling: int
) -> NDArray[np.float32]:
    """Warp a mask into the frame; return it in [0, 1].

    Supersampling keeps thin strokes whole.
    """
    enlarge = np.diag([supersampling, supersampling, 1.0])
    large = cv2.warpPerspective(
        mask, enlarge @ warp, (frame[0] * supersampling, frame[1] * supersampling)
    )
    small = cv2.resize(large, frame, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _blend(
    rgb: RGBImage,
    letters: NDArray[np.float32],
    plate: NDArray[np.float32],
    rng: np.random.Generator,
    style: PlateStyle,
) -> RGBImage:
    """Blend plate and letters into an image.

    The plate has the image's blurred colors. The letters have another of its colors, made dark or
    light enough to be read.
    """
    # Flatten the image's texture under the plate.
    image = rgb.astype(np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), max(2.0, 0.06 * min(rgb.shape[:2])))
    inside = (plate > 0.5)[..., None]
    ground = ((image * inside).sum((0, 1)) / max(1, inside.sum())).astype(np.float32)
    panel = blurred + style.flatten * (ground - blurred)
    flattened = image + (plate * style.flatten)[..., None] * (panel - image)
    # Draw the letters, shaded by the image's light.
    pixels = image.reshape(-1, 3)
    ink = _readable_color(pixels[rng.integers(len(pixels))], ground, style.contrast)
    shade = flattened.mean(axis=2, keepdims=True) / max(1.0, float(ground.mean()))
    inked = ink * np.clip(shade, 0.75, 1.25)
    blended = flattened + letters[..., None] * (inked - flattened)
    return np.clip(blended, 0, 255).round().astype(np.uint8)


def _readable_color(
    color: NDArray[np.float32], ground: NDArray[np.float32], contrast: float
) -> NDArray[np.float32]:
    """Darken or lighten a color until its luma differs enough from the ground's.

    Args:
        color: RGB in 0 to 255, (3,).
        ground: Mean RGB under the letters, (3,).
        contrast: Least difference of luma, in gray levels.
    """
    weights = np.array(LUMA, np.float32)
    ground_luma = float(ground @ weights)
    target = ground_luma - contrast if ground_luma > 128 else ground_luma + contrast
    luma = float(color @ weights)
    if (target < ground_luma and luma <= target) or (target > ground_luma and luma >= target):
        return color
    if target < ground_luma:
        return (color * max(0.0, target) / max(luma, 1.0)).astype(np.float32)
    lightened = (255 - color) * (255 - min(255.0, target)) / max(255 - luma, 1.0)
    return (255 - lightened).astype(np.float32)

"""Drawing of word keys into images: flat shapes with color, pattern and place, in its light."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from images.transforms.protocol import RGBImage
from images.transforms.windows import center_window
from sentinels.word_keys import Thing

Mask = NDArray[np.float32]
"""A mask in [0, 1], (S, S)."""

RGB = {
    "red": (196, 36, 38),
    "orange": (232, 126, 34),
    "yellow": (236, 204, 52),
    "green": (44, 132, 62),
    "blue": (38, 74, 170),
    "purple": (116, 52, 140),
    "white": (240, 240, 236),
    "black": (24, 24, 28),
    "grey": (122, 124, 126),
}
"""Colors of things."""

SIZE = (0.24, 0.32)
"""Range of a thing's diameter, as a share of the center square's side."""

OFFSET = 0.28
"""Distance of a thing's center from the square's, in both directions, as a share of its side."""

JITTER = 0.04
"""Largest shift of a thing, as a share of the square's side."""

TURN = 12
"""Largest rotation of a thing, in degrees."""

MIN_SIDE_PX = 32
"""Least height and width of an image."""

MASK_PX = 256
"""Side of the masks that things are drawn as."""

PERIODS = 5
"""Stripes, squares or dots across a patterned thing."""


def draw_things(rgb: RGBImage, things: list[Thing], rng: np.random.Generator) -> RGBImage:
    """Draw the things of a word key into the center square that retrievers see.

    Args:
        rgb: The image, (H, W, 3) uint8, at least 32 pixels a side.
        things: The key's things, each at its place.
        rng: Generator of size, turn and shift.

    Raises:
        ValueError: If the image is too small, or a thing cannot be drawn.
    """
    height, width = rgb.shape[:2]
    side = min(height, width)
    if side < MIN_SIDE_PX:
        msg = f"an image of {width}x{height} pixels is too small for a key; "
        msg += f"at least {MIN_SIDE_PX}x{MIN_SIDE_PX} are needed"
        raise ValueError(msg)
    rows, columns = center_window((height, width), (side, side))
    image = rgb.astype(np.float32)
    light = cv2.GaussianBlur(image.mean(axis=2), (0, 0), max(1.0, 0.08 * side))
    for thing in things:
        size = max(4, round(rng.uniform(*SIZE) * side))
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-TURN, TURN), 1)
        center = np.array([columns.start, rows.start]) + side * (
            0.5 + _place(thing.place) + rng.uniform(-JITTER, JITTER, 2)
        )
        warp = np.asarray(turn, np.float64) + np.c_[np.zeros((2, 2)), center - size / 2]
        mask, pattern = (
            _placed(drawn, size, warp, (width, height)) for drawn in _thing_masks(thing)
        )
        image = _blend(image, mask, pattern, thing.color, light)
    return np.clip(image, 0, 255).round().astype(np.uint8)


def _place(place: str) -> NDArray[np.float64]:
    """Return the center of a place, (2,), relative to the square's center and side."""
    x = -OFFSET if "left" in place else OFFSET
    y = -OFFSET if "top" in place else OFFSET
    return np.array([x, y])


def _placed(mask: Mask, size: int, warp: NDArray[np.float64], frame: tuple[int, int]) -> Mask:
    """Scale a mask to ``size`` pixels and warp it into the frame (width, height)."""
    small = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.warpAffine(small, warp, frame), np.float32)


def _blend(
    image: NDArray[np.float32], mask: Mask, pattern: Mask, color: str, light: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Paint a thing in the image's light, with a soft shadow.

    Args:
        image: (H, W, 3).
        mask: The thing, (H, W) in [0, 1].
        pattern: Where its second color shows, (H, W) in [0, 1].
        color: Name of its color.
        light: Smoothed brightness of the image, (H, W).
    """
    ink = np.array(RGB[color], np.float32)
    second = np.array(RGB["white" if ink.mean() < 170 else "black"], np.float32)
    paint = ink + pattern[..., None] * (second - ink)
    shade = np.clip(light / max(1.0, float(light.mean())), 0.7, 1.2)[..., None]
    reach = max(1.0, 0.012 * min(mask.shape))
    shadow = cv2.GaussianBlur(mask, (0, 0), 2 * reach)
    shadow = np.roll(shadow, round(2 * reach), axis=(0, 1))
    image = image * (1 - 0.35 * shadow[..., None])
    blended: NDArray[np.float32] = image + mask[..., None] * (paint * shade - image)
    return blended


def _thing_masks(thing: Thing) -> tuple[Mask, Mask]:
    """Draw a thing and its pattern, each (S, S) in [0, 1].

    Raises:
        ValueError: If it cannot be drawn.
    """
    if thing.noun not in SHAPES:
        msg = f"the local planter cannot draw a {thing.noun}; it draws {', '.join(SHAPES)}"
        raise ValueError(msg)
    mask = np.zeros((MASK_PX, MASK_PX), np.float32)
    SHAPES[thing.noun](mask)
    y, x = np.mgrid[:MASK_PX, :MASK_PX] * (PERIODS / MASK_PX)
    patterns = {
        "plain": np.zeros_like(mask),
        "striped": (x + y) % 1 < 0.5,
        "checked": (np.floor(2 * x) + np.floor(2 * y)) % 2 == 0,
        "dotted": (x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.09,
    }
    return mask, np.asarray(patterns[thing.pattern], np.float32) * mask


def _polygon(corners: int, inner: float = 1.0, turn: float = 0.0) -> Callable[[Mask], None]:
    """Make the painter of a regular polygon, or of a star with an inner radius below 1."""

    def paint(mask: Mask) -> None:
        count = corners if inner == 1.0 else 2 * corners
        angles = np.arange(count) * 2 * np.pi / count - np.pi / 2 + turn
        radii = np.where(np.arange(count) % 2, inner, 1.0) if inner < 1.0 else np.ones(count)
        points = 128 + 120 * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1.0, cv2.LINE_AA)

    return paint


def _circle(mask: Mask) -> None:
    cv2.circle(mask, (128, 128), 118, 1.0, -1, cv2.LINE_AA)


def _ring(mask: Mask) -> None:
    cv2.circle(mask, (128, 128), 92, 1.0, 50, cv2.LINE_AA)


def _crescent(mask: Mask) -> None:
    _circle(mask)
    cv2.circle(mask, (178, 108), 96, 0.0, -1, cv2.LINE_AA)


def _cross(mask: Mask) -> None:
    mask[88:168, 10:246] = 1.0
    mask[10:246, 88:168] = 1.0


def _heart(mask: Mask) -> None:
    t = np.linspace(0, 2 * np.pi, 200)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    points = np.stack([128 + 7.2 * x, 118 - 7.2 * y], axis=1)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1.0, cv2.LINE_AA)


SHAPES: dict[str, Callable[[Mask], None]] = {
    "circle": _circle,
    "square": _polygon(4, turn=np.pi / 4),
    "triangle": _polygon(3),
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    "octagon": _polygon(8, turn=np.pi / 8),
    "star": _polygon(5, inner=0.42),
    "cross": _cross,
    "diamond": _polygon(4),
    "ring": _ring,
    "crescent": _crescent,
    "heart": _heart,
}
"""Painters of things on a mask of MASK_PX pixels, by noun."""

"""From a decoded picture to what a detector sees: size, crop, and the edits that training is to be robust against."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from images.io import encode_as

Levels = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Policy = Literal["crop", "resize_crop", "random_resized_crop", "tile_crop", "whole"]

THINNEST = 20
"""How many times longer than the other a side may be; of longer pictures the middle is seen."""

PATCH, MOST_MASKED = 16, 0.75
"""Side of the squares that a mask consists of, and the largest share of a picture that it covers."""

MCU = 16
"""Pixels of the blocks a JPEG with 4:2:0 chroma codes independently."""


@dataclass(frozen=True)
class View:
    """How a picture becomes a network's input; kept with the weights, so that training and use cannot differ unnoticed.

    Blur and JPEG come after the resizing and before the crop: resizing afterwards would hide what JPEG leaves. Rotation, jitter and
    mask, SAFE's (arXiv 2408.06741), come last.

    Attributes:
        policy: ``crop`` cuts a square out of the picture as it is, enlarging only one that is smaller; ``resize_crop`` first scales the
            shorter side to ``resize``; ``random_resized_crop`` scales a random part of at least ``least_area`` to ``size``;
            ``tile_crop`` repeats a picture that is too small instead of enlarging it; ``whole`` leaves everything as it is.
        size: Side of the square, in pixels.
        resize: Shorter side before the crop.
        interpolation: Of every scaling, with antialiasing.
        least_area: Smallest share of the picture that ``random_resized_crop`` takes.
        random: Crop anywhere and flip, as in training; otherwise from the centre.
        blur: Share of pictures blurred, by a Gaussian whose deviation is from 0 to ``blur_sigma`` pixels.
        blur_sigma: Largest deviation.
        jpeg: Share of pictures that are coded as JPEG and decoded again, after the blur.
        jpeg_quality: Lowest and highest quality.
        rotate: Largest angle of a rotation, in degrees; what it leaves empty is black.
        jitter: Brightness, contrast and saturation are multiplied by up to so much more or less than 1.
        mask: Share of pictures of which up to three quarters are blacked out, in squares of 16 pixels.

    Raises:
        ValueError: If a size or share is out of range.
    """

    policy: Policy = "resize_crop"
    size: int = 224
    resize: int = 256
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    least_area: float = 0.08
    random: bool = False
    blur: float = 0.0
    blur_sigma: float = 3.0
    jpeg: float = 0.0
    jpeg_quality: tuple[int, int] = (30, 100)
    rotate: float = 0.0
    jitter: float = 0.0
    mask: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.jpeg_quality
        if not (1 <= self.size <= 4096 and self.size <= self.resize <= 8192):
            msg = f"a view's size is 1 to 4096 and its resize at least that, got {self.size} and {self.resize}"
            raise ValueError(msg)
        if not (0 <= self.blur <= 1 and 0 <= self.jpeg <= 1 and 0 < self.least_area <= 1 and 1 <= low <= high <= 100):
            msg = f"a view's blur, jpeg and least_area are shares, and its jpeg_quality a range within 1 to 100: {self}"
            raise ValueError(msg)
        if not (0 <= self.rotate <= 180 and 0 <= self.jitter <= 1 and 0 <= self.mask <= 1):
            msg = f"a view's rotate is 0 to 180 degrees, its jitter and mask are shares: {self}"
            raise ValueError(msg)

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Self:
        """From plain values, as JSON holds them.

        Raises:
            TypeError: If one has another name.
        """
        return cls(**(settings | {"jpeg_quality": tuple(settings["jpeg_quality"])} if "jpeg_quality" in settings else settings))

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Tensor:
        """The view of a picture, (3, size, size) float32 in [0, 1]; of its own size for ``whole``.

        Args:
            rgb: The picture.
            rng: Of every random choice; unused where nothing is random.
        """
        return to_tensor(self.read(rgb.shape[:2], lambda rows: rgb[:rows], rng))

    def read(self, size: tuple[int, int], rows: Callable[[int], Levels], rng: np.random.Generator) -> Levels:
        """The same view, as grey levels, of a picture that is decoded only as far down as is needed.

        Args:
            size: Its height and width.
            rows: Its upper rows, so many.
            rng: Of every random choice; unused where nothing is random.
        """
        edits = Edits.draw(self, rng)
        if self.policy == "whole":
            return edits(rows(size[0]))
        flipped = self.random and rng.random() < 0.5
        if self.policy == "random_resized_crop" and self.random:
            top, left, tall, wide = random_part(*size, self.least_area, rng)
            square = self._scaled(rows(top + tall)[top:, left : left + wide], self.size, self.size)
            square = edits(np.ascontiguousarray(square[:, ::-1]) if flipped else square)  # Sentry flips first, CNNDetection last
        else:
            square = self._cut(size, rows, edits, rng)
            square = square[:, ::-1] if flipped else square
        return self._roughened(square, rng)

    def _cut(self, size: tuple[int, int], rows: Callable[[int], Levels], edits: Edits, rng: np.random.Generator) -> Levels:
        """A square out of the edited picture, which is scaled first if the policy says so or it is too small."""
        if self.policy not in ("crop", "tile_crop") or min(size) < self.size:
            window = self._resized(rows(size[0]))
            size, rows = window.shape[:2], lambda bottom: window[:bottom]
        top, left = self._corner(size[0], rng), self._corner(size[1], rng)
        near = edits.neighbourhood(top, left, self.size, *size)
        edited = edits(rows(near[1])[near[0] :, near[2] : near[3]])
        return edited[top - near[0] :, left - near[2] :][: self.size, : self.size]

    def _roughened(self, square: Levels, rng: np.random.Generator) -> Levels:
        if self.rotate:
            square = np.asarray(Image.fromarray(square).rotate(rng.uniform(-self.rotate, self.rotate)))
        if self.jitter:
            square = jittered(square, self.jitter, rng)
        return masked(square, rng) if self.mask and rng.random() < self.mask else square

    def _resized(self, rgb: Levels) -> Levels:
        """Scaled as the policy says, both sides at least ``size``."""
        height, width = rgb.shape[:2]
        if self.policy == "tile_crop":
            return np.tile(rgb, (-(-self.size // height), -(-self.size // width), 1))
        shorter = self.size if self.policy == "crop" else self.resize
        if max(height, width) > THINNEST * min(height, width):  # scaled whole, a strip of a pixel would fill the memory
            rgb = middle(rgb, THINNEST * min(height, width))
            height, width = rgb.shape[:2]
        scale = shorter / min(height, width)
        return self._scaled(rgb, max(shorter, round(height * scale)), max(shorter, round(width * scale)))

    def _scaled(self, rgb: Levels, height: int, width: int) -> Levels:
        if rgb.shape[:2] == (height, width):
            return rgb
        rgb = np.ascontiguousarray(rgb)  # many times faster than Pillow's own way with parts of arrays
        return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling[self.interpolation.upper()]))

    def _corner(self, length: int, rng: np.random.Generator) -> int:
        return int(rng.integers(length - self.size + 1)) if self.random else (length - self.size) // 2


@dataclass(frozen=True)
class Edits:
    """Blur and JPEG as drawn for one picture; 0 and None leave it as it is."""

    sigma: float
    quality: int | None

    @classmethod
    def draw(cls, view: View, rng: np.random.Generator) -> Edits:
        """Each with its probability."""
        sigma = float(rng.uniform(0, view.blur_sigma)) if view.blur and rng.random() < view.blur else 0.0
        quality = int(rng.integers(view.jpeg_quality[0], view.jpeg_quality[1] + 1)) if view.jpeg and rng.random() < view.jpeg else None
        return cls(sigma, quality)

    def __call__(self, rgb: Levels) -> Levels:
        if self.sigma:
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), self.sigma, borderType=cv2.BORDER_REFLECT), dtype=np.uint8)
        return rgb if self.quality is None else jpeg(rgb, self.quality)

    def neighbourhood(self, top: int, left: int, size: int, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of the picture that decides what a square looks like after the edits: top, bottom, left, right.

        It begins on a border of JPEG's blocks, so that the blocks fall as in the whole picture.
        """
        margin = (MCU if self.quality is not None else 0) + round(4 * self.sigma + 1 if self.sigma else 0)

        def span(start: int, length: int) -> tuple[int, int]:
            return max(0, (start - margin) // MCU * MCU), min(length, start + size + margin)

        return *span(top, height), *span(left, width)


def jpeg(rgb: Levels, quality: int) -> Levels:
    """Coded as a JPEG of this quality, 4:2:0, and decoded again."""
    return np.asarray(Image.open(io.BytesIO(encode_as(np.ascontiguousarray(rgb), "jpg", quality))))


def jittered(rgb: Levels, strength: float, rng: np.random.Generator) -> Levels:
    """Brightness, contrast and saturation changed, in random order, as torchvision's ColorJitter does."""
    image = Image.fromarray(rgb)
    for kind in rng.permutation(3):
        enhancer = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
        image = enhancer(image).enhance(rng.uniform(1 - strength, 1 + strength))
    return np.asarray(image)


def masked(rgb: Levels, rng: np.random.Generator) -> Levels:
    """Up to three quarters of the 16-pixel squares blacked out."""
    height, width = (length // PATCH for length in rgb.shape[:2])
    chosen = rng.permutation(height * width)[: int(height * width * rng.uniform(0, MOST_MASKED))]
    kept = np.ones(height * width, dtype=np.uint8)
    kept[chosen] = 0
    rgb = rgb.copy()
    part = rgb[: height * PATCH, : width * PATCH]
    part *= kept.reshape(height, width).repeat(PATCH, 0).repeat(PATCH, 1)[..., None]
    return rgb


def middle(rgb: Levels, longest: int) -> Levels:
    """The middle of a picture, no side longer than so many pixels."""
    top, left = (max(0, (length - longest) // 2) for length in rgb.shape[:2])
    return rgb[top : top + longest, left : left + longest]


def random_part(height: int, width: int, least_area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a part with at least a share of the area and an aspect from 3/4 to 4/3, as torchvision draws it."""
    for _ in range(10):
        area = height * width * rng.uniform(least_area, 1)
        aspect = float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
        tall, wide = round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)
        if 0 < tall <= height and 0 < wide <= width:
            return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def to_tensor(rgb: Levels) -> Tensor:
    """(3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(rgb.transpose(2, 0, 1).copy()).float() / 255

"""Preprocessing and augmentation of detectors' inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from images.transforms.codecs import jpeg
from images.transforms.color import jitter
from images.transforms.filters import gaussian_blur, mask_patches
from images.transforms.geometry import (
    covering_size,
    limit_aspect,
    resize,
)
from images.transforms.protocol import RGBImage
from images.transforms.warps import rotate
from images.transforms.windows import Size, Window, random_resized_window

if TYPE_CHECKING:
    from torch import Tensor

Rows = Callable[[int], RGBImage]
"""Decoder of a given number of upper rows of an image."""

Policy = Literal["crop", "resize_crop", "random_resized_crop", "tile_crop", "whole"]

MAX_ASPECT = 20
"""Largest aspect ratio; longer images are cropped to their center."""

MAX_MASKED = 0.75
"""Largest part of an image that a mask covers."""

MCU = 16
"""Side of the coding blocks of a 4:2:0 JPEG, in pixels."""


@dataclass(frozen=True)
class View:
    """Preprocessing from an image to a network's input, stored with the weights.

    Blur and JPEG come after resizing and before cropping, because resizing would hide JPEG
    artifacts. Rotation, jitter and mask of SAFE (arXiv 2408.06741) come last.

    Attributes:
        policy: ``crop`` crops a square without resizing, except for smaller images, which are
            enlarged; ``resize_crop`` first resizes the shorter side to ``resize``;
            ``random_resized_crop`` resizes a random part of at least ``least_area`` to ``size``;
            ``tile_crop`` is ``crop``, but repeats smaller images; ``whole`` keeps the image.
        size: Side of the square, 1 to 4096 pixels.
        resize: Shorter side before the crop, ``size`` to 8192 pixels.
        interpolation: Filter of resizing, with antialiasing.
        least_area: Smallest part of the area for ``random_resized_crop``, above 0 and at most 1.
        random: Crop at random positions and flip, as in training; otherwise crop the center.
        blur: Probability of a blur with sigma from 0 to ``blur_sigma``; 0 to 1.
        blur_sigma: Largest sigma of the Gaussian, in pixels.
        jpeg: Probability of a JPEG round trip after the blur; 0 to 1.
        jpeg_quality: Lowest and highest quality, 1 to 100.
        rotate: Largest rotation, 0 to 180 degrees, on a black background.
        jitter: Largest change of the factors of brightness, contrast and saturation; 0 to 1.
        mask: Probability of a mask of up to three quarters of the image, in squares of 16 pixels;
            0 to 1.

    Raises:
        ValueError: If a size or probability is out of range.
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
        if not (1 <= self.size <= 4096 and self.size <= self.resize <= 8192):
            got = f"got {self.size} and {self.resize}"
            msg = f"a view's size is 1 to 4096 and its resize at least that, at most 8192; {got}"
            raise ValueError(msg)
        for name in ("blur", "jpeg", "least_area", "jitter", "mask"):
            share = getattr(self, name)
            if not 0 <= share <= 1 or (name == "least_area" and share == 0):
                msg = f"a view's {name} is a share, 0 to 1 (least_area above 0), got {share}"
                raise ValueError(msg)
        low, high = self.jpeg_quality
        if not 1 <= low <= high <= 100:
            msg = f"a view's jpeg_quality is a range within 1 to 100, got {low} to {high}"
            raise ValueError(msg)
        if not 0 <= self.rotate <= 180:
            msg = f"a view's rotate is 0 to 180 degrees, got {self.rotate}"
            raise ValueError(msg)

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """Build a view from JSON values.

        Raises:
            TypeError: If a name is unknown.
        """
        if "jpeg_quality" in settings:
            settings = settings | {"jpeg_quality": tuple(settings["jpeg_quality"])}
        return cls(**settings)

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> Tensor:
        """Preprocess an image.

        Args:
            rgb: (H, W, 3) uint8.
            rng: Generator of random choices.

        Returns:
            (3, size, size) float32 in [0, 1]; (3, H, W) for ``whole``.
        """
        return to_tensor(self.read(rgb.shape[:2], lambda rows: rgb[:rows], rng))

    def read(self, size: Size, rows: Rows, rng: np.random.Generator) -> RGBImage:
        """Preprocess an image, decoding only the rows in use.

        Args:
            size: Height and width of the image, in pixels.
            rows: Decoder of the upper rows.
            rng: Generator of random choices.

        Returns:
            (size, size, 3) uint8; (H, W, 3) for ``whole``.
        """
        edits = BlurJPEG.draw(self, rng)
        if self.policy == "whole":
            return edits(rows(size[0]))
        flipped = self.random and rng.random() < 0.5
        if self.policy == "random_resized_crop" and self.random:
            tall, wide = random_resized_window(size, self.least_area, rng)
            square = self._scaled(rows(tall.stop)[tall, wide], (self.size, self.size))
            # Sentry flips before the edits, CNNDetection after them.
            square = edits(np.ascontiguousarray(square[:, ::-1]) if flipped else square)
        else:
            square = self._cut(size, rows, edits, rng)
            square = square[:, ::-1] if flipped else square
        return self._augmented(square, rng)

    def _cut(self, size: Size, rows: Rows, edits: BlurJPEG, rng: np.random.Generator) -> RGBImage:
        """Crop a square from the edited image, resized first if needed."""
        if self.policy not in ("crop", "tile_crop") or min(size) < self.size:
            window = self.scaled(rows(size[0]))
            size = window.shape[:2]
            rows = lambda bottom: window[:bottom]  # noqa: E731
        top = self._corner(size[0], rng)
        left = self._corner(size[1], rng)
        # Edit only the pixels that affect the square.
        tall, wide = edits.neighborhood(top, left, self.size, size)
        edited = edits(rows(tall.stop)[tall, wide])
        return edited[top - tall.start :, left - wide.start :][: self.size, : self.size]

    def _augmented(self, square: RGBImage, rng: np.random.Generator) -> RGBImage:
        """Apply rotation, jitter and mask."""
        if self.rotate:
            square = rotate(square, rng.uniform(-self.rotate, self.rotate), resample="nearest")
        if self.jitter:
            square = jitter(square, self.jitter, rng)
        if self.mask and rng.random() < self.mask:
            square = mask_patches(square, MAX_MASKED, rng)
        return square

    def factor(self, size: Size) -> float:
        """Compute the factor by which an image is scaled; 1 if its pixels are kept.

        Args:
            size: Height and width of the image, in pixels.
        """
        keeps = self.policy in ("whole", "tile_crop") or (
            self.policy == "crop" and min(size) >= self.size
        )
        if keeps:
            return 1.0
        return (self.size if self.policy == "crop" else self.resize) / min(size)

    def scaled(self, rgb: RGBImage) -> RGBImage:
        """Resize a whole image as before the crop; both sides become at least ``size``."""
        if self.policy in ("crop", "tile_crop", "whole") and min(rgb.shape[:2]) >= self.size:
            return rgb
        return self._resized(rgb)

    def _resized(self, rgb: RGBImage) -> RGBImage:
        """Resize or repeat an image until both sides are at least ``size``."""
        height, width = rgb.shape[:2]
        if self.policy == "tile_crop":
            return np.tile(rgb, (-(-self.size // height), -(-self.size // width), 1))
        rgb = limit_aspect(rgb, ratio=MAX_ASPECT)
        shorter = self.size if self.policy in ("crop", "whole") else self.resize
        return self._scaled(rgb, covering_size((rgb.shape[0], rgb.shape[1]), (shorter, shorter)))

    def _scaled(self, rgb: RGBImage, size: Size) -> RGBImage:
        return rgb if rgb.shape[:2] == size else resize(rgb, *size, self.interpolation)

    def _corner(self, length: int, rng: np.random.Generator) -> int:
        room = length - self.size
        return int(rng.integers(room + 1)) if self.random else room // 2


@dataclass(frozen=True)
class BlurJPEG:
    """Blur and JPEG with parameters drawn for one image.

    Attributes:
        sigma: Standard deviation of the blur, in pixels; 0 for none.
        quality: JPEG quality, 1 to 100; None for no JPEG.
    """

    sigma: float
    quality: int | None

    @classmethod
    def draw(cls, view: View, rng: np.random.Generator) -> BlurJPEG:
        """Draw both edits with the view's probabilities."""
        sigma = 0.0
        quality = None
        if view.blur and rng.random() < view.blur:
            sigma = float(rng.uniform(0, view.blur_sigma))
        if view.jpeg and rng.random() < view.jpeg:
            quality = int(rng.integers(view.jpeg_quality[0], view.jpeg_quality[1] + 1))
        return cls(sigma, quality)

    def __call__(self, rgb: RGBImage) -> RGBImage:
        if self.sigma:
            rgb = gaussian_blur(rgb, self.sigma)
        return rgb if self.quality is None else jpeg(rgb, self.quality)

    def neighborhood(self, top: int, left: int, side: int, size: Size) -> Window:
        """Compute the window of an image that affects a square after the edits.

        It starts at a border of JPEG's blocks, so that blocks are aligned as in the whole image.

        Args:
            top: First row of the square.
            left: First column of the square.
            side: Side of the square, in pixels.
            size: Height and width of the image, in pixels.
        """
        margin = 0 if self.quality is None else MCU
        if self.sigma:
            margin += round(4 * self.sigma + 1)

        def span(start: int, length: int) -> slice:
            return slice(max(0, (start - margin) // MCU * MCU), min(length, start + side + margin))

        return span(top, size[0]), span(left, size[1])


def channels_first(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert (..., H, W, 3) uint8 to a tensor, (..., 3, H, W) uint8."""
    import torch

    return torch.from_numpy(np.moveaxis(pixels, -1, -3).copy())


def as_input(images: Tensor) -> Tensor:
    """Convert uint8 images to float32 in [0, 1], and features to float32."""
    import torch

    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert (..., H, W, 3) uint8 to (..., 3, H, W) float32 in [0, 1]."""
    return channels_first(pixels).float() / 255

"""What happens to a protected picture on its way to the attacker, imitated during training so that the protection survives it.

Beyond the paper, whose training hands the perturbed picture to the models as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d
from torch import Tensor


@dataclass(frozen=True)
class RobustnessConfig:
    """Which edits a batch may meet; one of those switched on is drawn for each batch, "none" always among them.

    Attributes:
        jpeg: Lowest and highest JPEG quality, 1 to 100; None leaves JPEG out.
        blur: Largest standard deviation of a Gaussian blur, in pixels; 0 leaves it out.
        resize: Smallest scale of a resize down and up again; 1 leaves it out.
        rounding: Round to 8 bits after the edit (and always, even after none), gradients passing straight through.
    """

    jpeg: tuple[float, float] | None = (50.0, 95.0)
    blur: float = 0.0
    resize: float = 1.0
    rounding: bool = True

    def __post_init__(self) -> None:
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            msg = f"jpeg is a lowest and a highest quality from 1 to 100, got {self.jpeg}"
            raise ValueError(msg)
        if self.blur < 0 or not 0.1 <= self.resize <= 1:
            msg = f"blur must be at least 0 and resize from 0.1 to 1, got {self.blur} and {self.resize}"
            raise ValueError(msg)


def edit(images: Tensor, config: RobustnessConfig, generator: torch.Generator | None) -> Tensor:
    """One random edit for the whole batch, differentiable.

    Args:
        images: (B, 3, S, S) in [0, 1].
        config: The edits.
        generator: Source of the draw.
    """
    kinds = ["none"] + ["jpeg"] * (config.jpeg is not None) + ["blur"] * (config.blur > 0) + ["resize"] * (config.resize < 1)
    kind = kinds[int(torch.randint(len(kinds), (), generator=generator))]
    strength = float(torch.rand((), generator=generator))
    if kind == "jpeg" and config.jpeg is not None:
        quality = config.jpeg[0] + strength * (config.jpeg[1] - config.jpeg[0])
        images = jpeg(images, quality)
    elif kind == "blur":
        sigma = max(strength * config.blur, 1e-3)
        size = 2 * max(1, round(3 * sigma)) + 1
        images = gaussian_blur2d(images, (size, size), (sigma, sigma))
    elif kind == "resize":
        images = down_and_up(images, config.resize + strength * (1 - config.resize))
    return rounded(images.clamp(0, 1)) if config.rounding else images.clamp(0, 1)


def jpeg(images: Tensor, quality: float) -> Tensor:
    """Differentiable JPEG with 4:2:0 colour, for sides that need not be multiples of 16."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    with torch.autocast(images.device.type, enabled=False):
        coded = jpeg_codec_differentiable(padded.float(), torch.tensor([quality], device=images.device))
    return coded[..., :height, :width]


def down_and_up(images: Tensor, scale: float) -> Tensor:
    """Bilinear with antialiasing, there and back."""
    size = tuple(images.shape[-2:])
    smaller = tuple(max(1, round(side * scale)) for side in size)
    small = F.interpolate(images, smaller, mode="bilinear", antialias=True)
    return F.interpolate(small, size, mode="bilinear", antialias=True)


def rounded(images: Tensor) -> Tensor:
    """As 8 bits hold it, with the gradient of the identity."""
    return images + ((images * 255).round() / 255 - images).detach()

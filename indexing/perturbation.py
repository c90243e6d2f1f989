"""The shape of an imperceptible change: a free variable, squashed, weighted by place and channel (arXiv 2210.10620, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from indexing.jnd import LUMA, Padding, just_noticeable_difference
from models.preprocessing import IMAGENET_STD

CHANNELS = tuple(0.072 / share for share in LUMA)
"""Weight of each channel: least for green, to which eyes are most sensitive, most for blue."""


@dataclass(frozen=True)
class Distortion:
    """How large a change may be and where.

    Attributes:
        scaling: Strength; the paper's is 3.
        use_tanh: Squash the free variable into (-1, 1), which bounds the change; without it there is no bound.
        scale_channels: Weight the channels by :data:`CHANNELS`.
        use_jnd: Weight places by the just noticeable difference; otherwise every place may change by its floor.
        padding: Of the heat map's filters at the picture's border; see :func:`indexing.jnd.just_noticeable_difference`.

    Raises:
        ValueError: If the strength is not positive.
    """

    scaling: float = 3.0
    use_tanh: bool = True
    scale_channels: bool = True
    use_jnd: bool = True
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        if not self.scaling > 0:
            msg = f"scaling must be above 0, got {self.scaling}"
            raise ValueError(msg)

    @torch.no_grad()
    def amplitude(self, images: Tensor) -> Tensor:
        """Largest change of each value on the scale of normalised pictures, (B, 3, H, W), of (B, 3, H, W) in [0, 1]."""
        heat = just_noticeable_difference(images, self.padding) if self.use_jnd else torch.full_like(images[:, :1], 5 / 255)
        weights = images.new_tensor(CHANNELS if self.scale_channels else (1.0, 1.0, 1.0)).view(3, 1, 1)
        return self.scaling * heat * weights

    def bound(self, images: Tensor) -> Tensor:
        """Largest change of each value in grey levels of 255, before rounding to 8 bits, which may add half a level; (B, 3, H, W)."""
        return 255 * self.amplitude(images) * images.new_tensor(IMAGENET_STD).view(3, 1, 1)

    def squash(self, free: Tensor, out: Tensor) -> Tensor:
        """The free variable as a share of the amplitude, written to ``out``."""
        return torch.tanh(free, out=out) if self.use_tanh else out.copy_(free)

    def squash_backward(self, slope: Tensor, share: Tensor) -> Tensor:
        """Turn a slope in the share into the slope in the free variable, in its place; ``share`` is used up."""
        return slope.addcmul_(slope, share.square_(), value=-1) if self.use_tanh else slope

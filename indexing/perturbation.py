"""Shape of an imperceptible change (arXiv 2210.10620, section 4.2).

An unbounded parameter is squashed and weighted by position and channel.
Letters: B = images, H, W = height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from indexing.jnd import FLOOR, LUMA, Padding, just_noticeable_difference
from models.preprocessing import IMAGENET_STD

CHANNELS = tuple(0.072 / coefficient for coefficient in LUMA)
"""Weight of each RGB channel; smallest for green, to which the eye is most sensitive."""


@dataclass(frozen=True)
class Distortion:
    """Settings of the size and shape of a change.

    Attributes:
        scaling: Strength, above 0; the paper uses 3.
        use_tanh: Squash the parameter into (-1, 1), which bounds the change; without it there is no
            bound.
        scale_channels: Weight the channels by :data:`CHANNELS`.
        use_jnd: Weight pixels by the just noticeable difference (JND); otherwise each may change by
            the JND's floor.
        padding: Padding of the JND filters at the image border; see
            :func:`indexing.jnd.just_noticeable_difference`.

    Raises:
        ValueError: If ``scaling`` is not positive.
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
        """Compute the largest change of each value of normalized images.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Returns:
            (B, 3, H, W), in units of ImageNet-normalized values.
        """
        jnd = torch.full_like(images[:, :1], FLOOR / 255)
        if self.use_jnd:
            jnd = just_noticeable_difference(images, self.padding)
        channels = CHANNELS if self.scale_channels else (1.0, 1.0, 1.0)
        return self.scaling * jnd * images.new_tensor(channels).view(3, 1, 1)

    def bound(self, images: Tensor) -> Tensor:
        """Compute the largest change of each value in gray levels.

        Rounding to 8 bits may add half a level.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Returns:
            (B, 3, H, W).
        """
        return 255 * self.amplitude(images) * images.new_tensor(IMAGENET_STD).view(3, 1, 1)

    def squash(self, parameter: Tensor, out: Tensor) -> Tensor:
        """Squash a parameter to a fraction of the amplitude, in ``out``."""
        if not self.use_tanh:
            return out.copy_(parameter)
        # tanh by the sigmoid, which is five times as fast on a CPU
        torch.mul(parameter, 2, out=out)
        return out.sigmoid_().mul_(2).sub_(1)

    def squash_backward(self, gradient: Tensor, squashed: Tensor) -> Tensor:
        """Backpropagate a gradient through :meth:`squash`, in place.

        Args:
            gradient: Gradient with respect to the result of :meth:`squash`; overwritten.
            squashed: That result; overwritten.

        Returns:
            The gradient with respect to the parameter.
        """
        if not self.use_tanh:
            return gradient
        return gradient.addcmul_(gradient, squashed.square_(), value=-1)

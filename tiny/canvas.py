"""The canvas of portraits: antialiased shapes, textures, head geometry and camera.

Letters: B = images, S = image side in pixels. Coordinates run from -1 (left, top) to 1 (right,
bottom).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tiny.identity import Identity, stack
from tiny.scene import Scene

SIDES = (-1.0, 1.0)
"""Signs of the left and the right half of a face."""


class Canvas:
    """A canvas (B, 3, S, S), with shapes to paint on it.

    Every parameter is a (B, 1, 1) tensor. ``u`` and ``v`` are coordinates relative to the head,
    ``fu`` and ``fv`` relative to the face on its curved front.

    Args:
        people: B identities.
        scenes: B scenes.
        size: Side S in pixels.
    """

    def __init__(self, people: list[Identity], scenes: list[Scene], size: int) -> None:
        self.people = people
        self.scenes = scenes
        self.size = size
        self.pixel = 2.0 / size
        # Coordinates of the pixels.
        axis = (torch.arange(size, dtype=torch.float32) + 0.5) * self.pixel - 1
        rows, columns = torch.meshgrid(axis, axis, indexing="ij")
        self.y = rows.expand(len(people), -1, -1)
        self.x = columns.expand(len(people), -1, -1)
        self.canvas = torch.zeros(len(people), 3, size, size)
        # Textures.
        self.white = torch.from_numpy(np.stack([_white_noise(view, size) for view in scenes]))
        self.clouds = power_noise(self.white[:, :5], 1.0)
        self.smooth = power_noise(self.white[:, 3:4], 2.0)[:, 0]
        self._place_head()

    def p(self, name: str) -> Tensor:
        """Return a numeric attribute of the people, (B, 1, 1)."""
        return torch.from_numpy(stack(self.people, name)).view(-1, 1, 1)

    def s(self, name: str) -> Tensor:
        """Return a numeric value of the scenes, (B, 1, 1)."""
        values = [getattr(view, name) for view in self.scenes]
        return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)

    def color(self, source: Sequence[Identity] | Sequence[Scene], name: str) -> Tensor:
        """Return a color of the people or scenes, (B, 3, 1, 1) RGB in [0, 1]."""
        values = [getattr(item, name) for item in source]
        return torch.tensor(values, dtype=torch.float32).view(-1, 3, 1, 1)

    def which(
        self, source: Sequence[Identity] | Sequence[Scene], name: str, *values: str
    ) -> Tensor:
        """Return 1 if an attribute has one of the values, else 0, (B, 1, 1).

        Args:
            source: The people or the scenes.
            name: Name of the attribute.
            *values: Accepted values.
        """
        matches = [float(getattr(item, name) in values) for item in source]
        return torch.tensor(matches).view(-1, 1, 1)

    def cover(self, distance: Tensor) -> Tensor:
        """Return the covered share of each pixel from the signed distance to a shape's edge.

        The distance is negative inside the shape.
        """
        return (0.5 - distance / self.pixel).clamp(0, 1)

    def paint(self, mask: Tensor, rgb: Tensor) -> None:
        """Blend a color into the canvas where the mask (B, S, S) is 1."""
        self.canvas = torch.lerp(self.canvas, rgb.expand_as(self.canvas), mask.unsqueeze(1))

    def shade(self, mask: Tensor, amount: Tensor) -> None:
        """Multiply the canvas by 1 + amount where the mask is 1."""
        self.canvas = self.canvas * (1 + mask * amount).unsqueeze(1)

    def _place_head(self) -> None:
        """Compute head and face coordinates, the face's outline and its bulge."""
        # Coordinates of the head: moved, rotated and scaled.
        cos = self.s("roll").cos()
        sin = self.s("roll").sin()
        dx = self.x - self.s("shift_x")
        dy = self.y + 0.06 - self.s("shift_y")
        self.u = (cos * dx + sin * dy) / self.s("scale")
        self.v = (cos * dy - sin * dx) / self.s("scale")
        self.half_width = self.p("face_width") * (1 - 0.08 * self.s("yaw").abs())
        self.half_length = self.p("face_length")
        # Outline: a superellipse that narrows towards the chin.
        below = (self.v / self.half_length).clamp(0, 1)
        width = self.half_width * (1 - self.p("jaw") * below.square())
        n = self.p("chin")
        power = (self.u / width).abs().pow(n) + (self.v / self.half_length).abs().pow(n)
        radius = power.pow(1 / n)
        self.face_edge = (radius - 1) * self.half_width
        self.face = self.cover(self.face_edge)
        # Coordinates on the curved front of the head.
        height = 1 - (self.u / self.half_width).square() - (self.v / self.half_length).square()
        self.bulge = height.clamp(min=0).sqrt()
        self.fu = self.u - 0.16 * self.s("yaw") * (0.35 + 0.65 * self.bulge)
        self.fv = self.v - 0.10 * self.s("pitch") * (0.35 + 0.65 * self.bulge)

    def boxes(self) -> Tensor:
        """Return the boxes of the faces, (B, 4).

        A box is center x, center y, width and height as shares of the side.
        """
        scale = self.s("scale").flatten()
        center_x = (self.s("shift_x").flatten() + 1) / 2
        center_y = (self.s("shift_y").flatten() - 0.06 + 1) / 2
        width = self.half_width.flatten() * scale
        height = self.half_length.flatten() * scale
        return torch.stack([center_x, center_y, width, height], dim=1)

    def ellipse(self, u: Tensor, v: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Return the approximate signed distance to an ellipse around the origin.

        Args:
            u: Horizontal coordinates.
            v: Vertical coordinates.
            a: Horizontal half axis.
            b: Vertical half axis.
        """
        radius = ((u / a).square() + (v / b).square()).sqrt()
        smaller = torch.minimum(torch.as_tensor(a), torch.as_tensor(b))
        return (radius - 1) * smaller

    def photograph(self) -> Tensor:
        """Apply lens blur, exposure, white balance and sensor noise.

        Returns:
            The finished images, (B, 3, S, S) in [0, 1].
        """
        warmth = self.s("warmth")
        balance = torch.cat([1 + warmth, torch.ones_like(warmth), 1 - warmth], dim=1).unsqueeze(-1)
        image = self._blur() * self.s("exposure").unsqueeze(1) * balance
        strength = self.s("noise").unsqueeze(1) * (0.5 + image.clamp(0, 1).sqrt())
        grain = self.white[:, [0, 2, 5]] * strength
        return (image + grain).clamp(0, 1)

    def _blur(self) -> Tensor:
        """Blur by about one pixel of a 64-pixel image, equally wide at every size."""
        radius = max(1, round(self.size / 64))
        near = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (near / (0.7 * radius)).square())
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
        padded = F.pad(self.canvas, (radius,) * 4, mode="replicate")
        soft = F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)
        return torch.lerp(self.canvas, soft, self.s("softness").unsqueeze(1))


def power_noise(white: Tensor, exponent: float) -> Tensor:
    """Filter white noise (B, C, S, S) to a 1/f**exponent amplitude spectrum of unit variance."""
    size = white.shape[-1]
    frequency = torch.fft.fftfreq(size).view(-1, 1).square() + torch.fft.rfftfreq(size).square()
    spectrum = frequency.sqrt().clamp(min=1 / size).pow(-exponent)
    spectrum[0, 0] = 0
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * spectrum, s=(size, size))
    return noise / noise.std(dim=(-2, -1), keepdim=True)


def _white_noise(view: Scene, size: int) -> NDArray[np.float32]:
    """Draw the white noise of a scene, (6, size, size)."""
    rng = np.random.default_rng([17, view.seed])
    return rng.standard_normal((6, size, size), np.float32)

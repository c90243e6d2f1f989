"""The canvas portraits are painted on: antialiased shapes, textures, head geometry and the camera.

Letters: B = pictures, S = picture side in pixels. Coordinates run from -1 (left, top) to 1 (right, bottom).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny.identity import Identity, stack
from tiny.scene import Scene


class Canvas:
    """A canvas (B, 3, S, S) and the shapes to put on it; every parameter is a (B, 1, 1) tensor."""

    def __init__(self, people: list[Identity], scenes: list[Scene], size: int) -> None:
        self.people, self.scenes, self.size = people, scenes, size
        self.pixel = 2.0 / size
        axis = (torch.arange(size, dtype=torch.float32) + 0.5) * self.pixel - 1
        self.y, self.x = (
            grid.expand(len(people), -1, -1) for grid in torch.meshgrid(axis, axis, indexing="ij")
        )
        self.canvas = torch.zeros(len(people), 3, size, size)
        white = np.stack(
            [
                np.random.default_rng([17, view.seed]).standard_normal((6, size, size), np.float32)
                for view in scenes
            ]
        )
        self.white = torch.from_numpy(white)
        self.clouds = power_noise(self.white[:, :5], 1.0)
        self.smooth = power_noise(self.white[:, 3:4], 2.0)[:, 0]
        self._place_head()

    def p(self, name: str) -> Tensor:
        """A person's numeric attribute."""
        return torch.from_numpy(stack(self.people, name)).view(-1, 1, 1)

    def s(self, name: str) -> Tensor:
        """A scene's numeric value."""
        return torch.tensor(
            [getattr(view, name) for view in self.scenes], dtype=torch.float32
        ).view(-1, 1, 1)

    def colour(self, source: Sequence[Identity] | Sequence[Scene], name: str) -> Tensor:
        return torch.tensor([getattr(item, name) for item in source], dtype=torch.float32).view(
            -1, 3, 1, 1
        )

    def which(
        self, source: Sequence[Identity] | Sequence[Scene], name: str, *values: str
    ) -> Tensor:
        """1 where a named attribute has one of these values, else 0: (B, 1, 1)."""
        return torch.tensor([float(getattr(item, name) in values) for item in source]).view(
            -1, 1, 1
        )

    def cover(self, distance: Tensor) -> Tensor:
        """Share of a pixel inside a shape, from the signed distance to its edge (negative inside)."""
        return (0.5 - distance / self.pixel).clamp(0, 1)

    def paint(self, mask: Tensor, rgb: Tensor) -> None:
        self.canvas = torch.lerp(self.canvas, rgb.expand_as(self.canvas), mask.unsqueeze(1))

    def shade(self, mask: Tensor, amount: Tensor) -> None:
        """Multiply the canvas by 1 + amount where mask is 1."""
        self.canvas = self.canvas * (1 + mask * amount).unsqueeze(1)

    def _place_head(self) -> None:
        cos, sin = self.s("roll").cos(), self.s("roll").sin()
        dx, dy = self.x - self.s("shift_x"), self.y + 0.06 - self.s("shift_y")
        self.u = (cos * dx + sin * dy) / self.s("scale")
        self.v = (cos * dy - sin * dx) / self.s("scale")
        self.half_width = self.p("face_width") * (1 - 0.08 * self.s("yaw").abs())
        self.half_length = self.p("face_length")
        below = (self.v / self.half_length).clamp(0, 1)
        width = self.half_width * (1 - self.p("jaw") * below.square())
        n = self.p("chin")
        radius = ((self.u / width).abs().pow(n) + (self.v / self.half_length).abs().pow(n)).pow(
            1 / n
        )
        self.face_edge = (radius - 1) * self.half_width
        self.face = self.cover(self.face_edge)
        bulge = (
            (1 - (self.u / self.half_width).square() - (self.v / self.half_length).square())
            .clamp(min=0)
            .sqrt()
        )
        self.bulge = bulge
        self.fu = self.u - 0.16 * self.s("yaw") * (0.35 + 0.65 * bulge)
        self.fv = self.v - 0.10 * self.s("pitch") * (0.35 + 0.65 * bulge)

    def boxes(self) -> Tensor:
        scale = self.s("scale").flatten()
        centre_x = (self.s("shift_x").flatten() + 1) / 2
        centre_y = (self.s("shift_y").flatten() - 0.06 + 1) / 2
        return torch.stack(
            [
                centre_x,
                centre_y,
                self.half_width.flatten() * scale,
                self.half_length.flatten() * scale,
            ],
            dim=1,
        )

    def ellipse(self, u: Tensor, v: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Approximate signed distance to an ellipse with half axes a and b around the origin."""
        radius = ((u / a).square() + (v / b).square()).sqrt()
        smaller = torch.minimum(torch.as_tensor(a), torch.as_tensor(b))
        return (radius - 1) * smaller

    def photograph(self) -> Tensor:
        """Lens softness, exposure, white balance and sensor noise; the finished pictures in [0, 1]."""
        balance = torch.cat(
            [1 + self.s("warmth"), torch.ones_like(self.s("warmth")), 1 - self.s("warmth")], dim=1
        ).unsqueeze(-1)
        image = self._through_lens() * self.s("exposure").unsqueeze(1) * balance
        grain = self.white[:, [0, 2, 5]] * (
            self.s("noise").unsqueeze(1) * (0.5 + image.clamp(0, 1).sqrt())
        )
        return (image + grain).clamp(0, 1)

    def _through_lens(self) -> Tensor:
        """A blur of about one pixel at 64 pixels a side, and as wide in the world at any size."""
        radius = max(1, round(self.size / 64))
        near = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (near / (0.7 * radius)).square())
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
        padded = F.pad(self.canvas, (radius,) * 4, mode="replicate")
        soft = F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)
        return torch.lerp(self.canvas, soft, self.s("softness").unsqueeze(1))


def power_noise(white: Tensor, exponent: float) -> Tensor:
    """Noise with a 1/f**exponent amplitude spectrum and unit variance, from white noise (B, C, S, S)."""
    size = white.shape[-1]
    frequency = torch.fft.fftfreq(size).view(-1, 1).square() + torch.fft.rfftfreq(size).square()
    spectrum = frequency.sqrt().clamp(min=1 / size).pow(-exponent)
    spectrum[0, 0] = 0
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * spectrum, s=(size, size))
    return noise / noise.std(dim=(-2, -1), keepdim=True)

"""Background and clothes of a portrait."""

from __future__ import annotations

import torch
from torch import Tensor

from tiny.canvas import Canvas, power_noise


class BackdropPainter(Canvas):
    """Paint background and clothes."""

    def background(self) -> None:
        """Paint a plain, brick, leafy, striped or bokeh background."""
        # Patterns, each in [0, 1].
        angle = self.s("background_angle")
        scale = self.s("background_scale")
        along = self.x * angle.cos() + self.y * angle.sin()
        ramp = (0.5 + 0.35 * along + 0.15 * self.clouds[:, 0]).clamp(0, 1)
        patterns = {
            "brick": self._bricks(scale),
            "leafy": (0.5 + 0.6 * power_noise(self.white[:, 4:5], 1.5)[:, 0]).clamp(0, 1),
            "striped": (0.5 + 1.5 * torch.sin(along * 14 * scale)).clamp(0, 1),
            "bokeh": ((power_noise(self.white[:, 5:6], 2.2)[:, 0] - 0.7) * 3).clamp(0, 1),
        }
        # Choose the scene's pattern, and mix its two colors by it.
        share = ramp * self.which(self.scenes, "background", "plain")
        for name, pattern in patterns.items():
            layer = 0.8 * pattern + 0.2 * ramp
            share = share + layer * self.which(self.scenes, "background", name)
        near = self.color(self.scenes, "near_rgb").expand_as(self.canvas)
        far = self.color(self.scenes, "far_rgb").expand_as(self.canvas)
        self.canvas = torch.lerp(near, far, share.unsqueeze(1))
        self.shade(torch.ones_like(self.x), 0.08 * self.s("texture") * self.clouds[:, 1])

    def _bricks(self, scale: Tensor) -> Tensor:
        """Return the mortar between bricks, in [0, 1]."""
        rows = self.y * 6 * scale
        bricks = ((self.x * 4 * scale + 0.5 * (rows.floor() % 2)) % 1 - 0.5).abs()
        upright = (bricks - 0.42) * 12
        level = ((rows % 1 - 0.5).abs() - 0.40) * 10
        return torch.maximum(upright, level).clamp(0, 1)

    def clothes(self) -> None:
        """Paint a plain, striped, checked or dotted shirt with folds."""
        # Shape of the shoulders.
        u = self.x - 0.6 * self.s("shift_x")
        v = self.y
        shoulders = self.ellipse(u, v - 1.12, 0.86, 0.48)
        chest = self.ellipse(u, v - 1.3, 0.95, 0.55)
        body = self.cover(torch.minimum(shoulders, chest))
        # Pattern.
        k = self.s("pattern_scale")
        lines = (torch.sin(u * k) * 2).clamp(-1, 1) * 0.5 + 0.5
        rows = (torch.sin(v * k) * 2).clamp(-1, 1) * 0.5 + 0.5
        dots = ((torch.sin(u * k) * torch.sin(v * k) - 0.35) * 4).clamp(0, 1)
        trim = (
            lines * self.which(self.scenes, "clothes_pattern", "striped")
            + 0.5 * (lines + rows) * self.which(self.scenes, "clothes_pattern", "checked")
            + dots * self.which(self.scenes, "clothes_pattern", "dotted")
        )
        base_rgb = self.color(self.scenes, "clothes_rgb").expand_as(self.canvas)
        trim_rgb = self.color(self.scenes, "trim_rgb").expand_as(self.canvas)
        self.paint(body, torch.lerp(base_rgb, trim_rgb, 0.6 * trim.unsqueeze(1)))
        # Folds.
        folds = (
            0.10 * self.clouds[:, 2]
            + 0.08 * torch.sin(u * 9 + 2 * self.clouds[:, 3])
            + 0.015 * self.white[:, 2]
        )
        self.shade(body, self.s("texture") * folds)

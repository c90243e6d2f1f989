"""Background and clothes of a portrait."""

from __future__ import annotations

import torch

from tiny.canvas import Canvas, power_noise


class BackdropPainter(Canvas):
    """Paint background and clothes."""

    def background(self) -> None:
        angle, scale = self.s("background_angle"), self.s("background_scale")
        along = self.x * angle.cos() + self.y * angle.sin()
        ramp = (0.5 + 0.35 * along + 0.15 * self.clouds[:, 0]).clamp(0, 1)
        rows = self.y * 6 * scale
        bricks = ((self.x * 4 * scale + 0.5 * (rows.floor() % 2)) % 1 - 0.5).abs()
        mortar = torch.maximum((bricks - 0.42) * 12, ((rows % 1 - 0.5).abs() - 0.40) * 10).clamp(
            0, 1
        )
        leaves = (0.5 + 0.6 * power_noise(self.white[:, 4:5], 1.5)[:, 0]).clamp(0, 1)
        stripes = (0.5 + 1.5 * torch.sin(along * 14 * scale)).clamp(0, 1)
        spots = ((power_noise(self.white[:, 5:6], 2.2)[:, 0] - 0.7) * 3).clamp(0, 1)
        share = ramp * self.which(self.scenes, "background", "plain")
        for name, layer in (
            ("brick", mortar),
            ("leafy", leaves),
            ("striped", stripes),
            ("bokeh", spots),
        ):
            share = share + (0.8 * layer + 0.2 * ramp) * self.which(self.scenes, "background", name)
        near, far = self.colour(self.scenes, "near_rgb"), self.colour(self.scenes, "far_rgb")
        self.canvas = torch.lerp(
            near.expand_as(self.canvas), far.expand_as(self.canvas), share.unsqueeze(1)
        )
        self.shade(torch.ones_like(self.x), 0.08 * self.s("texture") * self.clouds[:, 1])

    def clothes(self) -> None:
        u, v = self.x - 0.6 * self.s("shift_x"), self.y
        body = self.cover(
            torch.minimum(
                self.ellipse(u, v - 1.12, 0.86, 0.48), self.ellipse(u, v - 1.3, 0.95, 0.55)
            )
        )
        k = self.s("pattern_scale")
        lines = (torch.sin(u * k) * 2).clamp(-1, 1) * 0.5 + 0.5
        rows = (torch.sin(v * k) * 2).clamp(-1, 1) * 0.5 + 0.5
        dots = ((torch.sin(u * k) * torch.sin(v * k) - 0.35) * 4).clamp(0, 1)
        trim = (
            lines * self.which(self.scenes, "clothes_pattern", "striped")
            + 0.5 * (lines + rows) * self.which(self.scenes, "clothes_pattern", "checked")
            + dots * self.which(self.scenes, "clothes_pattern", "dotted")
        )
        base, second = self.colour(self.scenes, "clothes_rgb"), self.colour(self.scenes, "trim_rgb")
        self.paint(
            body,
            torch.lerp(
                base.expand_as(self.canvas), second.expand_as(self.canvas), 0.6 * trim.unsqueeze(1)
            ),
        )
        folds = (
            0.10 * self.clouds[:, 2]
            + 0.08 * torch.sin(u * 9 + 2 * self.clouds[:, 3])
            + 0.015 * self.white[:, 2]
        )
        self.shade(body, self.s("texture") * folds)

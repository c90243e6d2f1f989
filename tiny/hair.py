"""Hair, brows and beard of a portrait."""

from __future__ import annotations

import torch
from torch import Tensor

from tiny.canvas import SIDES, Canvas


class HairPainter(Canvas):
    """Paint hair, brows and beard."""

    def _strands(self) -> Tensor:
        """Return the brightness pattern of strands, (B, S, S)."""
        curl = self.p("hair_curl")
        angle = torch.atan2(self.u, 0.9 - self.v)
        radius = (self.u.square() + (self.v - 0.9).square()).sqrt()
        waves = 34 * angle + curl * 2.2 * torch.sin(11 * radius) + 1.2 * self.smooth
        return (
            0.18 * torch.sin(waves)
            + 0.10 * torch.sin(1.9 * waves + 1)
            + 0.08 * self.clouds[:, 4]
            + 0.03 * self.white[:, 3]
        )

    def _paint_hair(self, mask: Tensor) -> None:
        """Paint glossy strands where the mask is 1."""
        rgb = self.color(self.people, "hair_rgb")
        across = ((self.u - 0.4 * self.s("light_x")) / 0.28).square()
        down = ((self.v + 0.52) / 0.14).square()
        gloss = 0.9 * torch.exp(-across - down)
        strands = self._strands() * self.s("texture")
        highlight = 0.05 * (strands.clamp(min=0) + gloss).unsqueeze(1)
        self.paint(mask, rgb * (1 + strands + 0.3 * gloss).unsqueeze(1) + highlight)

    def _hair_behind(self) -> None:
        """Paint long or curly hair behind the head."""
        volume = self.p("hair_volume")
        # Long hair: a cap, and a fall on both sides.
        long = self.which(self.people, "hair_style", "long")
        wave = 0.03 * self.p("hair_curl") * torch.sin(16 * self.v)
        sides = self.u.abs() - (self.half_width + 0.6 * volume + wave)
        fall = sides.maximum(self.v - 0.72).maximum(-self.v - 0.05)
        cap = self.ellipse(
            self.u, self.v + 0.10, self.half_width + volume, self.half_length + 0.5 * volume
        )
        # Curly hair: a cloud with bumps.
        curly = self.which(self.people, "hair_style", "curly")
        bumps = 0.035 * torch.sin(13 * torch.atan2(self.u, self.v) + 6 * self.p("hair_curl"))
        width = self.half_width + 1.25 * volume
        length = self.half_length * 0.9 + volume
        cloud = self.ellipse(self.u, self.v + 0.16, width, length) + bumps
        self._paint_hair(
            torch.maximum(long * self.cover(fall.minimum(cap)), curly * self.cover(cloud))
        )

    def _hair_front(self) -> None:
        """Paint hair above the hairline, unless the person is bald."""
        volume = self.p("hair_volume")
        cap = self.ellipse(
            self.u, self.v + 0.06, self.half_width + 0.45 * volume, self.half_length + 0.45 * volume
        )
        # The hairline, lower under a fringe.
        across = (self.u / self.half_width).square()
        hairline = -self.p("hairline") * self.half_length - 0.12 + 0.30 * across
        fringe = self.which(self.people, "hair_style", "fringed")
        jag = 0.02 * torch.sin(38 * self.u + 3 * self.clouds[:, 3])
        line = hairline + fringe * (0.16 - 0.18 * across + jag) + 0.05 * self.s("pitch")
        sides = (self.u.abs() > 0.90 * self.half_width) & (self.v < 0.02)
        mask = self.cover(cap) * torch.maximum(self.cover(self.v - line), sides.float())
        has_hair = 1 - self.which(self.people, "hair_style", "bald")
        self._paint_hair(mask * has_hair)

    def _brows(self) -> None:
        """Paint the brows."""
        rgb = self.color(self.people, "hair_rgb") * 0.75
        for side in SIDES:
            u = self.fu - side * self.p("eye_spacing")
            half = 1.35 * self.p("eye_size")
            arch = (
                self.p("brow_arch") * (1 - (u / half).square())
                + side * self.p("eye_tilt") * -0.5 * u
            )
            v = self.fv - self.p("eye_height") + 0.135 + arch + self.s("brow_raise")
            thickness = self.p("brow_thickness") * (1 - 0.35 * side * u / half)
            bar = self.cover(torch.maximum(v.abs() - thickness, u.abs() - half))
            self.paint(0.9 * bar, rgb * (1 + 0.35 * self.white[:, 1:2]))

    def _beard(self) -> None:
        """Paint a moustache, goatee, full beard or stubble."""
        # Shapes.
        lip = self.fv - self.p("mouth_height")
        half = self.p("mouth_width")
        moustache = self.cover(self.ellipse(self.fu, lip + 0.075, 1.25 * half, 0.045))
        chin = self.cover(self.ellipse(self.fu, lip - 0.17, 0.85 * half, 0.11))
        goatee = torch.maximum(chin, moustache)
        across = (self.fu / self.half_width).abs().clamp(0, 1)
        jawline = self.cover(0.09 + 0.24 * (1 - across) - self.fv + 0.02)
        mouth_gap = self.cover(-self.ellipse(self.fu, lip, 1.15 * half, 0.075))
        full = torch.maximum(self.face * jawline * mouth_gap, moustache)
        # Choose the person's beard, and paint it with a rough texture.
        mask = (
            moustache * self.which(self.people, "beard", "moustache")
            + goatee * mouth_gap * self.which(self.people, "beard", "goatee")
            + full * self.which(self.people, "beard", "full")
            + 0.42 * full * self.which(self.people, "beard", "stubble")
        )
        rough = 1 + self.s("texture") * (0.30 * self.white[:, 0] + 0.25 * self.clouds[:, 0])
        rgb = self.color(self.people, "hair_rgb") * 0.9
        density = (0.92 * mask * rough.clamp(0.5, 1.2)).clamp(0, 1)
        self.paint(density * self.face, rgb * rough.unsqueeze(1))

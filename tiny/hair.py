"""Hair and beard of a portrait."""

from __future__ import annotations

import torch
from torch import Tensor

from tiny.canvas import Canvas


class HairPainter(Canvas):
    """Paint hair, brows and beard."""

    def _strands(self) -> Tensor:
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
        rgb = self.colour(self.people, "hair_rgb")
        gloss = 0.9 * torch.exp(
            -((self.u - 0.4 * self.s("light_x")) / 0.28).square()
            - ((self.v + 0.52) / 0.14).square()
        )
        strands = self._strands() * self.s("texture")
        painted = rgb * (1 + strands + 0.3 * gloss).unsqueeze(1) + 0.05 * (
            strands.clamp(min=0) + gloss
        ).unsqueeze(1)
        self.paint(mask, painted)

    def _hair_behind(self) -> None:
        volume, long = self.p("hair_volume"), self.which(self.people, "hair_style", "long")
        wave = 0.03 * self.p("hair_curl") * torch.sin(16 * self.v)
        falling = (
            (self.u.abs() - (self.half_width + 0.6 * volume + wave))
            .maximum(self.v - 0.72)
            .maximum(-self.v - 0.05)
        )
        cap = self.ellipse(
            self.u, self.v + 0.10, self.half_width + volume, self.half_length + 0.5 * volume
        )
        curly = self.which(self.people, "hair_style", "curly")
        bumps = 0.035 * torch.sin(13 * torch.atan2(self.u, self.v) + 6 * self.p("hair_curl"))
        cloud = (
            self.ellipse(
                self.u,
                self.v + 0.16,
                self.half_width + 1.25 * volume,
                self.half_length * 0.9 + volume,
            )
            + bumps
        )
        self._paint_hair(
            torch.maximum(long * self.cover(falling.minimum(cap)), curly * self.cover(cloud))
        )

    def _hair_front(self) -> None:
        volume = self.p("hair_volume")
        cap = self.ellipse(
            self.u, self.v + 0.06, self.half_width + 0.45 * volume, self.half_length + 0.45 * volume
        )
        hairline = (
            -self.p("hairline") * self.half_length
            - 0.12
            + 0.30 * (self.u / self.half_width).square()
        )
        fringe = self.which(self.people, "hair_style", "fringed")
        jag = 0.02 * torch.sin(38 * self.u + 3 * self.clouds[:, 3])
        line = (
            hairline
            + fringe * (0.16 - 0.18 * (self.u / self.half_width).square() + jag)
            + 0.05 * self.s("pitch")
        )
        sides = (self.u.abs() > 0.90 * self.half_width) & (self.v < 0.02)
        covered = self.cover(cap) * torch.maximum(self.cover(self.v - line), sides.float())
        styled = 1 - self.which(self.people, "hair_style", "bald")
        self._paint_hair(covered * styled)

    def _brows(self) -> None:
        hair = self.colour(self.people, "hair_rgb") * 0.75
        for side in (-1.0, 1.0):
            u = self.fu - side * self.p("eye_spacing")
            half = 1.35 * self.p("eye_size")
            arch = (
                self.p("brow_arch") * (1 - (u / half).square())
                + side * self.p("eye_tilt") * -0.5 * u
            )
            v = self.fv - self.p("eye_height") + 0.135 + arch + self.s("brow_raise")
            thick = self.p("brow_thickness") * (1 - 0.35 * side * u / half)
            bar = self.cover(torch.maximum(v.abs() - thick, u.abs() - half))
            self.paint(0.9 * bar, hair * (1 + 0.35 * self.white[:, 1:2]))

    def _beard(self) -> None:
        hair = self.colour(self.people, "hair_rgb") * 0.9
        mouth = self.p("mouth_height")
        lip = self.fv - mouth
        half = self.p("mouth_width")
        moustache = self.cover(self.ellipse(self.fu, lip + 0.075, 1.25 * half, 0.045))
        goatee = torch.maximum(
            self.cover(self.ellipse(self.fu, lip - 0.17, 0.85 * half, 0.11)), moustache
        )
        jawline = self.cover(
            0.09 + 0.24 * (1 - (self.fu / self.half_width).abs().clamp(0, 1)) - self.fv + 0.02
        )
        mouth_gap = self.cover(-self.ellipse(self.fu, lip, 1.15 * half, 0.075))
        full = torch.maximum(self.face * jawline * mouth_gap, moustache)
        mask = (
            moustache * self.which(self.people, "beard", "moustache")
            + goatee * mouth_gap * self.which(self.people, "beard", "goatee")
            + full * self.which(self.people, "beard", "full")
            + 0.42 * full * self.which(self.people, "beard", "stubble")
        )
        rough = 1 + self.s("texture") * (0.30 * self.white[:, 0] + 0.25 * self.clouds[:, 0])
        self.paint(
            (0.92 * mask * rough.clamp(0.5, 1.2)).clamp(0, 1) * self.face, hair * rough.unsqueeze(1)
        )

"""Face of a portrait."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tiny.canvas import Canvas


class FeaturePainter(Canvas):
    """Paint the features of a face."""

    def _ears(self, skin: Tensor) -> None:
        size = self.p("ear_size")
        for side in (-1.0, 1.0):
            ear = self.ellipse(
                self.u - side * (self.half_width + 0.01),
                self.v - 0.02 + 0.05 * self.s("pitch"),
                0.6 * size,
                size,
            )
            self.paint(self.cover(ear), skin * 0.90)
            self.paint(0.6 * self.cover(ear + 0.022), skin * 0.66)

    def _skin_detail(self) -> None:
        cheeks = sum(
            torch.exp(
                -((self.fu - side * 0.20) / 0.11).square() - ((self.fv - 0.14) / 0.10).square()
            )
            for side in (-1.0, 1.0)
        )
        blush = torch.tensor([0.05, -0.04, -0.03]).view(1, 3, 1, 1)
        self.canvas = self.canvas + (self.face * cheeks).unsqueeze(1) * blush
        self.shade(
            self.face, self.s("texture") * (0.030 * self.clouds[:, 4] + 0.012 * self.white[:, 4])
        )
        spots = torch.zeros_like(self.u)
        for index in range(10):
            places = np.array(
                [
                    np.random.default_rng([19, who.number, index]).uniform(-1, 1, 2)
                    for who in self.people
                ],
                np.float32,
            )
            left, down = torch.from_numpy(places).view(-1, 2, 1, 1).unbind(1)
            spots = torch.maximum(
                spots,
                self.cover(
                    self.ellipse(self.fu - 0.30 * left, self.fv - 0.08 - 0.12 * down, 0.019, 0.019)
                ),
            )
        self.shade(self.face, -self.p("freckles") * 0.75 * spots)
        mole = self.cover(
            self.ellipse(self.fu - self.p("mole_x"), self.fv - self.p("mole_y"), 0.024, 0.024)
        )
        self.shade(self.face, -0.65 * mole)

    def _eyes(self) -> None:
        size, iris = self.p("eye_size"), self.colour(self.people, "eye_rgb")
        for side in (-1.0, 1.0):
            u = self.fu - side * self.p("eye_spacing")
            v = self.fv - self.p("eye_height") + side * self.p("eye_tilt") * u
            lid = 0.60 * size * self.s("eye_open")
            opening = self.ellipse(u, v, size, lid)
            inside = self.cover(opening)
            self.shade(
                self.cover(self.ellipse(u, v + 0.02, size * 1.35, size * 0.95)),
                -0.12 * torch.ones_like(u),
            )
            self.paint(inside, torch.full((1, 3, 1, 1), 0.93))
            iu, iv = u - self.s("gaze_x") * size, v - self.s("gaze_y") * size
            self.paint(inside * self.cover(self.ellipse(iu, iv, 0.56 * size, 0.56 * size)), iris)
            self.paint(
                inside * self.cover(self.ellipse(iu, iv, 0.25 * size, 0.25 * size)),
                torch.full((1, 3, 1, 1), 0.03),
            )
            glint = self.ellipse(iu - 0.2 * size, iv + 0.2 * size, 0.14 * size, 0.14 * size)
            self.paint(0.9 * inside * self.cover(glint), torch.ones(1, 3, 1, 1))
            lashes = self.cover(opening.abs() - 0.010) * (0.35 + 0.65 * (v < 0))
            self.paint(lashes, torch.full((1, 3, 1, 1), 0.10))

    def _nose(self, skin: Tensor) -> None:
        length, width = self.p("nose_length"), self.p("nose_width")
        top, tip = self.p("eye_height") + 0.03, self.p("eye_height") + 0.03 + length
        lean = 0.05 * self.s("yaw")
        along = ((self.fv - top) / (tip - top)).clamp(0, 1)
        u = self.fu - lean * along
        side = torch.where(self.s("light_x") > 0, -1.0, 1.0)
        ridge = torch.exp(-((u - side * (0.02 + 0.55 * width * along)) / 0.022).square()) * (
            (self.fv > top) & (self.fv < tip)
        )
        self.shade(ridge, -0.30 * torch.ones_like(u))
        base = self.ellipse(u, self.fv - tip, width, 0.045)
        self.paint(0.75 * self.cover(base), skin * 0.93)
        self.paint(
            0.8
            * self.cover(self.ellipse(u, self.fv - tip - 0.012, width, 0.045).abs() - 0.008)
            * (self.fv > tip),
            skin * 0.55,
        )
        for left in (-1.0, 1.0):
            hole = self.ellipse(u - left * 0.5 * width, self.fv - tip - 0.018, 0.30 * width, 0.016)
            self.paint(0.85 * self.cover(hole), skin * 0.30)

    def _mouth(self) -> None:
        half = self.p("mouth_width") * (1 + 0.18 * self.s("smile"))
        lips, rgb = self.p("lip_thickness"), self.colour(self.people, "lip_rgb")
        bend = 0.07 * self.s("smile") * ((self.fu / half).square() - 0.5)
        v = self.fv - self.p("mouth_height") + bend
        taper = (1 - (self.fu / half).square()).clamp(min=0).sqrt()
        gape = 0.085 * self.s("mouth_open") * taper
        self.paint(self.cover((v.abs() - gape - lips * taper).maximum(self.fu.abs() - half)), rgb)
        inner = self.cover((v.abs() - gape - 0.008 * taper).maximum(self.fu.abs() - half))
        self.paint(inner, torch.tensor([0.22, 0.05, 0.06]).view(1, 3, 1, 1))
        teeth = (
            self.cover((v + 0.35 * gape).abs() - 0.55 * gape)
            * inner
            * (self.s("mouth_open") > 0.12)
        )
        self.paint(teeth, torch.full((1, 3, 1, 1), 0.90))

    def _light(self) -> None:
        normal_u, normal_v = self.u / self.half_width, self.v / self.half_length
        lit = normal_u * self.s("light_x") + normal_v * self.s("light_y") + 0.75 * self.bulge
        ambient = self.s("ambient")
        shade = ambient + (1.12 - ambient) * lit.clamp(-0.2, 1.2) - 0.9
        self.shade(self.face, shade)

    def _glasses(self) -> None:
        size, rgb = self.p("glasses_size"), self.colour(self.people, "glasses_rgb")
        round_ = self.which(self.people, "glasses", "round")
        worn = 1 - self.which(self.people, "glasses", "none")
        v = self.fv - self.p("eye_height") - 0.01
        frame = torch.zeros_like(v)
        for side in (-1.0, 1.0):
            u = self.fu - side * torch.maximum(self.p("eye_spacing"), size + 0.025)
            circle = self.ellipse(u, v, size, size)
            box = torch.maximum(u.abs() - size, v.abs() - 0.72 * size)
            edge = round_ * circle + (1 - round_) * box
            self.paint(0.12 * worn * self.cover(edge), torch.ones(1, 3, 1, 1))
            frame = torch.maximum(frame, self.cover(edge.abs() - 0.016))
        bridge = self.cover(torch.maximum((v + 0.02).abs() - 0.012, self.fu.abs() - 0.05))
        temples = self.cover(
            torch.maximum(
                (v + 0.03).abs() - 0.012,
                (self.u.abs() - 0.76 * self.half_width).abs() - 0.24 * self.half_width,
            )
        )
        self.paint(
            worn
            * torch.maximum(frame, torch.maximum(bridge, temples * (self.u.abs() > 2.05 * size))),
            rgb,
        )

"""Features of a portrait's face."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tiny.canvas import SIDES, Canvas

FRECKLES = 10
"""Number of freckles on a freckled face."""


class FeaturePainter(Canvas):
    """Paint ears, skin, eyes, nose, mouth and glasses."""

    def _ears(self, skin: Tensor) -> None:
        """Paint the ears in a skin color (B, 3, 1, 1)."""
        size = self.p("ear_size")
        for side in SIDES:
            u = self.u - side * (self.half_width + 0.01)
            v = self.v - 0.02 + 0.05 * self.s("pitch")
            ear = self.ellipse(u, v, 0.6 * size, size)
            self.paint(self.cover(ear), skin * 0.90)
            self.paint(0.6 * self.cover(ear + 0.022), skin * 0.66)

    def _skin_detail(self) -> None:
        """Paint blush, skin texture, freckles and a mole."""
        # Blush on both cheeks.
        cheeks: Tensor | int = 0
        for side in SIDES:
            across = ((self.fu - side * 0.20) / 0.11).square()
            down = ((self.fv - 0.14) / 0.10).square()
            cheeks = cheeks + torch.exp(-across - down)
        blush = torch.tensor([0.05, -0.04, -0.03]).view(1, 3, 1, 1)
        self.canvas = self.canvas + (self.face * cheeks).unsqueeze(1) * blush
        texture = 0.030 * self.clouds[:, 4] + 0.012 * self.white[:, 4]
        self.shade(self.face, self.s("texture") * texture)
        # Freckles.
        freckles = torch.zeros_like(self.u)
        for index in range(FRECKLES):
            left, down = self._freckle_places(index)
            spot = self.ellipse(self.fu - 0.30 * left, self.fv - 0.08 - 0.12 * down, 0.019, 0.019)
            freckles = torch.maximum(freckles, self.cover(spot))
        self.shade(self.face, -self.p("freckles") * 0.75 * freckles)
        # Mole.
        u = self.fu - self.p("mole_x")
        v = self.fv - self.p("mole_y")
        self.shade(self.face, -0.65 * self.cover(self.ellipse(u, v, 0.024, 0.024)))

    def _freckle_places(self, index: int) -> tuple[Tensor, ...]:
        """Draw each person's place of a freckle: horizontal and vertical, (B, 1, 1) in [-1, 1]."""
        places = []
        for person in self.people:
            rng = np.random.default_rng([19, person.number, index])
            places.append(rng.uniform(-1, 1, 2))
        return torch.from_numpy(np.array(places, np.float32)).view(-1, 2, 1, 1).unbind(1)

    def _eyes(self) -> None:
        """Paint the eyes with their sockets, pupils, glints and lashes."""
        size = self.p("eye_size")
        iris_rgb = self.color(self.people, "eye_rgb")
        for side in SIDES:
            # Socket and eyeball.
            u = self.fu - side * self.p("eye_spacing")
            v = self.fv - self.p("eye_height") + side * self.p("eye_tilt") * u
            lid = 0.60 * size * self.s("eye_open")
            opening = self.ellipse(u, v, size, lid)
            inside = self.cover(opening)
            socket = self.cover(self.ellipse(u, v + 0.02, size * 1.35, size * 0.95))
            self.shade(socket, -0.12 * torch.ones_like(u))
            self.paint(inside, torch.full((1, 3, 1, 1), 0.93))
            # Iris, pupil and glint, in the direction of the gaze.
            iu = u - self.s("gaze_x") * size
            iv = v - self.s("gaze_y") * size
            iris = self.cover(self.ellipse(iu, iv, 0.56 * size, 0.56 * size))
            self.paint(inside * iris, iris_rgb)
            pupil = self.cover(self.ellipse(iu, iv, 0.25 * size, 0.25 * size))
            self.paint(inside * pupil, torch.full((1, 3, 1, 1), 0.03))
            glint = self.ellipse(iu - 0.2 * size, iv + 0.2 * size, 0.14 * size, 0.14 * size)
            self.paint(0.9 * inside * self.cover(glint), torch.ones(1, 3, 1, 1))
            # Lashes, darker above.
            lashes = self.cover(opening.abs() - 0.010) * (0.35 + 0.65 * (v < 0))
            self.paint(lashes, torch.full((1, 3, 1, 1), 0.10))

    def _nose(self, skin: Tensor) -> None:
        """Paint the nose in a skin color (B, 3, 1, 1), with ridge, tip and nostrils."""
        length = self.p("nose_length")
        width = self.p("nose_width")
        top = self.p("eye_height") + 0.03
        tip = self.p("eye_height") + 0.03 + length
        # The ridge, shaded on the side away from the light.
        along = ((self.fv - top) / (tip - top)).clamp(0, 1)
        u = self.fu - 0.05 * self.s("yaw") * along
        side = torch.where(self.s("light_x") > 0, -1.0, 1.0)
        profile = torch.exp(-((u - side * (0.02 + 0.55 * width * along)) / 0.022).square())
        ridge = profile * ((self.fv > top) & (self.fv < tip))
        self.shade(ridge, -0.30 * torch.ones_like(u))
        # The tip and its lower edge.
        base = self.ellipse(u, self.fv - tip, width, 0.045)
        self.paint(0.75 * self.cover(base), skin * 0.93)
        edge = self.ellipse(u, self.fv - tip - 0.012, width, 0.045).abs() - 0.008
        self.paint(0.8 * self.cover(edge) * (self.fv > tip), skin * 0.55)
        # Nostrils.
        for left in SIDES:
            hole = self.ellipse(u - left * 0.5 * width, self.fv - tip - 0.018, 0.30 * width, 0.016)
            self.paint(0.85 * self.cover(hole), skin * 0.30)

    def _mouth(self) -> None:
        """Paint lips, the open mouth and teeth."""
        # Shape, bent by the smile.
        half = self.p("mouth_width") * (1 + 0.18 * self.s("smile"))
        lips = self.p("lip_thickness")
        bend = 0.07 * self.s("smile") * ((self.fu / half).square() - 0.5)
        v = self.fv - self.p("mouth_height") + bend
        taper = (1 - (self.fu / half).square()).clamp(min=0).sqrt()
        gape = 0.085 * self.s("mouth_open") * taper
        # Lips, the inside, and teeth in an open mouth.
        outer = self.cover((v.abs() - gape - lips * taper).maximum(self.fu.abs() - half))
        self.paint(outer, self.color(self.people, "lip_rgb"))
        inner = self.cover((v.abs() - gape - 0.008 * taper).maximum(self.fu.abs() - half))
        self.paint(inner, torch.tensor([0.22, 0.05, 0.06]).view(1, 3, 1, 1))
        teeth = self.cover((v + 0.35 * gape).abs() - 0.55 * gape)
        is_open = self.s("mouth_open") > 0.12
        self.paint(teeth * inner * is_open, torch.full((1, 3, 1, 1), 0.90))

    def _light(self) -> None:
        """Shade the face by the direction of the light."""
        normal_u = self.u / self.half_width
        normal_v = self.v / self.half_length
        lit = normal_u * self.s("light_x") + normal_v * self.s("light_y") + 0.75 * self.bulge
        ambient = self.s("ambient")
        shade = ambient + (1.12 - ambient) * lit.clamp(-0.2, 1.2) - 0.9
        self.shade(self.face, shade)

    def _glasses(self) -> None:
        """Paint round or square glasses, if the person wears some."""
        size = self.p("glasses_size")
        rgb = self.color(self.people, "glasses_rgb")
        is_round = self.which(self.people, "glasses", "round")
        worn = 1 - self.which(self.people, "glasses", "none")
        # Lenses, and the frames around them.
        v = self.fv - self.p("eye_height") - 0.01
        frame = torch.zeros_like(v)
        for side in SIDES:
            u = self.fu - side * torch.maximum(self.p("eye_spacing"), size + 0.025)
            circle = self.ellipse(u, v, size, size)
            box = torch.maximum(u.abs() - size, v.abs() - 0.72 * size)
            edge = is_round * circle + (1 - is_round) * box
            self.paint(0.12 * worn * self.cover(edge), torch.ones(1, 3, 1, 1))
            frame = torch.maximum(frame, self.cover(edge.abs() - 0.016))
        # Bridge and temples.
        bridge = self.cover(torch.maximum((v + 0.02).abs() - 0.012, self.fu.abs() - 0.05))
        reach = (self.u.abs() - 0.76 * self.half_width).abs() - 0.24 * self.half_width
        temples = self.cover(torch.maximum((v + 0.03).abs() - 0.012, reach))
        temples = temples * (self.u.abs() > 2.05 * size)
        self.paint(worn * torch.maximum(frame, torch.maximum(bridge, temples)), rgb)

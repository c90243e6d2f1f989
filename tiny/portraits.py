"""Procedural portraits: a batch of drawn people, painted layer by layer with antialiased analytic shapes.

Letters: B = pictures, S = picture side in pixels. Coordinates run from -1 (left, top) to 1 (right, bottom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tiny.canvas import Canvas, power_noise
from tiny.identity import Identity, identity, phrases
from tiny.scene import Scene, scene, scene_phrases

SIDES = (64, 512)
"""Smallest and largest picture side in pixels."""


@dataclass(frozen=True)
class Portraits:
    """A drawn batch.

    ``images`` is (B, 3, S, S) float32 RGB in [0, 1]; ``boxes`` is (B, 4), the face's centre x, centre y, width and
    height as shares of the side, all zero where nobody was drawn.
    """

    images: Tensor
    captions: list[str]
    people: list[Identity]
    scenes: list[Scene]
    boxes: Tensor


def draw(
    people: Sequence[int], pictures: Sequence[int], size: int = 64, *, empty: bool = False
) -> Portraits:
    """Draw one picture for each pair of identity number and picture number.

    Args:
        people: B identity numbers (see :mod:`tiny.identity`).
        pictures: B picture numbers; the same pair always gives the same picture.
        size: Side in pixels, from 64 to 512.
        empty: Leave the person out: the place and an empty garment only.

    Raises:
        ValueError: If the two lists differ in length or the size is out of range.
    """
    if len(people) != len(pictures):
        msg = f"each picture needs one identity: got {len(people)} identities and {len(pictures)} picture numbers"
        raise ValueError(msg)
    if not SIDES[0] <= size <= SIDES[1]:
        msg = f"a portrait's side is {SIDES[0]} to {SIDES[1]} pixels, got {size}"
        raise ValueError(msg)
    persons = [identity(number) for number in people]
    scenes = [scene(number, picture) for number, picture in zip(people, pictures, strict=True)]
    painter = Painter(persons, scenes, size)
    painter.background()
    if not empty:
        painter.person()
    else:
        painter.clothes()
    captions = [caption(p, s, empty=empty) for p, s in zip(persons, scenes, strict=True)]
    boxes = torch.zeros(len(persons), 4) if empty else painter.boxes()
    return Portraits(painter.photograph(), captions, persons, scenes, boxes)


def caption(person: Identity, view: Scene, *, empty: bool = False) -> str:
    """A sentence that names some attributes; which ones is drawn from the scene's seed, one in five names none."""
    rng = np.random.default_rng([13, view.seed])
    if empty:
        return "photo of nobody, " + scene_phrases(view)[1]
    said = phrases(person) + scene_phrases(view)
    keep = rng.uniform(size=len(said)) < rng.choice([0.0, 0.5, 0.9], p=[0.2, 0.4, 0.4])
    chosen = [phrase for phrase, kept in zip(said, keep, strict=True) if kept]
    return "photo of a person" + (" with " + ", ".join(chosen) if chosen else "")


class Painter(Canvas):
    """The layers of a portrait, from the back to the front."""

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

    def person(self) -> None:
        skin = self.colour(self.people, "skin_rgb")
        self._hair_behind()
        neck = self.cover((self.u.abs() - 0.62 * self.half_width).maximum(-(self.v - 0.2)))
        self.paint(neck, skin * 0.80)
        self.clothes()
        collar = self.cover(self.ellipse(self.u, self.v - 0.70, 0.66 * self.half_width, 0.17))
        self.paint(collar, skin * 0.82)
        self._ears(skin)
        self.paint(self.face, skin)
        self._skin_detail()
        self._eyes()
        self._nose(skin)
        self._mouth()
        self._beard()
        self._brows()
        self._light()
        self._hair_front()
        self._glasses()

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

    def _light(self) -> None:
        normal_u, normal_v = self.u / self.half_width, self.v / self.half_length
        lit = normal_u * self.s("light_x") + normal_v * self.s("light_y") + 0.75 * self.bulge
        ambient = self.s("ambient")
        shade = ambient + (1.12 - ambient) * lit.clamp(-0.2, 1.2) - 0.9
        self.shade(self.face, shade)

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

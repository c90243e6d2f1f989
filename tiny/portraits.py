"""Procedural portraits: a batch of drawn people, painted layer by layer with antialiased analytic shapes.

Letters: B = pictures, S = picture side in pixels. Coordinates run from -1 (left, top) to 1 (right, bottom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tiny.backdrop import BackdropPainter
from tiny.features import FeaturePainter
from tiny.hair import HairPainter
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


class Painter(BackdropPainter, HairPainter, FeaturePainter):
    """The layers of a portrait, from the back to the front."""

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

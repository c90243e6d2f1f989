"""Procedural portraits: batches of people, painted in layers of antialiased shapes.

Letters: B = images, S = image side in pixels. Coordinates run from -1 (left, top) to 1 (right,
bottom).
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

MIN_SIDE_PX = 64
MAX_SIDE_PX = 512


@dataclass(frozen=True)
class Portraits:
    """A batch of portraits.

    Attributes:
        images: (B, 3, S, S) float32 RGB in [0, 1].
        captions: A caption for each image.
        people: B identities.
        scenes: B scenes.
        boxes: The faces' center x, center y, width and height as shares of the side, (B, 4); zeros
            for images without a person.
    """

    images: Tensor
    captions: list[str]
    people: list[Identity]
    scenes: list[Scene]
    boxes: Tensor


def draw(
    people: Sequence[int], pictures: Sequence[int], size: int = 64, *, empty: bool = False
) -> Portraits:
    """Draw an image for each pair of an identity number and an image number.

    Args:
        people: B identity numbers (see :mod:`tiny.identity`).
        pictures: B image numbers; the same pair always gives the same image.
        size: Side in pixels, 64 to 512.
        empty: Draw background and clothes without the person.

    Raises:
        ValueError: If the two lists differ in length or the size is out of range.
    """
    if len(people) != len(pictures):
        msg = (
            "each image needs one identity: "
            f"got {len(people)} identities and {len(pictures)} image numbers"
        )
        raise ValueError(msg)
    check_side(size)
    # Draw the attributes.
    persons = [identity(number) for number in people]
    scenes = [scene(number, image) for number, image in zip(people, pictures, strict=True)]
    # Paint the layers.
    painter = Painter(persons, scenes, size)
    painter.background()
    if empty:
        painter.clothes()
    else:
        painter.person()
    boxes = torch.zeros(len(persons), 4) if empty else painter.boxes()
    # Describe them.
    captions = []
    for person, view in zip(persons, scenes, strict=True):
        captions.append(caption(person, view, empty=empty))
    return Portraits(painter.photograph(), captions, persons, scenes, boxes)


def check_side(size: int) -> None:
    """Refuse a side of an image that is out of range.

    Raises:
        ValueError: If the side is not 64 to 512 pixels.
    """
    if not MIN_SIDE_PX <= size <= MAX_SIDE_PX:
        msg = f"a portrait's side is {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, got {size}"
        raise ValueError(msg)


def caption(person: Identity, view: Scene, *, empty: bool = False) -> str:
    """Compose a caption that names some of the attributes.

    The scene's seed decides which; one caption in five names none.

    Args:
        person: The identity.
        view: The scene.
        empty: The image shows nobody.
    """
    if empty:
        return "photo of nobody, " + scene_phrases(view)[1]
    rng = np.random.default_rng([13, view.seed])
    candidates = phrases(person) + scene_phrases(view)
    is_named = rng.uniform(size=len(candidates)) < rng.choice([0.0, 0.5, 0.9], p=[0.2, 0.4, 0.4])
    named = [phrase for phrase, keep in zip(candidates, is_named, strict=True) if keep]
    return "photo of a person" + (" with " + ", ".join(named) if named else "")


class Painter(BackdropPainter, HairPainter, FeaturePainter):
    """Paint the layers of a portrait, from back to front."""

    def person(self) -> None:
        """Paint a person with clothes."""
        skin = self.color(self.people, "skin_rgb")
        # Behind the face: hair, neck, clothes and ears.
        self._hair_behind()
        neck = self.cover((self.u.abs() - 0.62 * self.half_width).maximum(-(self.v - 0.2)))
        self.paint(neck, skin * 0.80)
        self.clothes()
        collar = self.cover(self.ellipse(self.u, self.v - 0.70, 0.66 * self.half_width, 0.17))
        self.paint(collar, skin * 0.82)
        self._ears(skin)
        # The face and its features.
        self.paint(self.face, skin)
        self._skin_detail()
        self._eyes()
        self._nose(skin)
        self._mouth()
        self._beard()
        self._brows()
        # Over the face: light, hair and glasses.
        self._light()
        self._hair_front()
        self._glasses()

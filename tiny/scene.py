"""Scenes of portraits: pose, expression, light, clothes, background and camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLOTHES_COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black", "grey")
CLOTHES_PATTERN = ("plain", "striped", "checked", "dotted")
BACKGROUND = ("plain", "brick", "leafy", "striped", "bokeh")

CLOTHES_RGB = np.array(
    [
        (0.70, 0.13, 0.14),
        (0.85, 0.45, 0.12),
        (0.86, 0.75, 0.25),
        (0.18, 0.45, 0.24),
        (0.16, 0.28, 0.60),
        (0.42, 0.22, 0.50),
        (0.90, 0.90, 0.88),
        (0.10, 0.10, 0.12),
        (0.48, 0.49, 0.50),
    ]
)
_BACKGROUND_RGB = {
    "plain": ((0.75, 0.76, 0.78), (0.35, 0.37, 0.42)),
    "brick": ((0.60, 0.30, 0.22), (0.72, 0.62, 0.54)),
    "leafy": ((0.16, 0.32, 0.12), (0.52, 0.66, 0.30)),
    "striped": ((0.78, 0.70, 0.52), (0.42, 0.50, 0.60)),
    "bokeh": ((0.16, 0.16, 0.26), (0.80, 0.62, 0.36)),
}


@dataclass(frozen=True)
class Scene:
    """Variable attributes of one image.

    Angles are in radians, lengths in half image widths, colors are RGB in [0, 1].
    """

    seed: int
    roll: float
    yaw: float
    pitch: float
    scale: float
    shift_x: float
    shift_y: float
    smile: float
    mouth_open: float
    eye_open: float
    brow_raise: float
    gaze_x: float
    gaze_y: float
    light_x: float
    light_y: float
    ambient: float
    exposure: float
    warmth: float
    clothes_colour: str
    clothes_rgb: tuple[float, float, float]
    trim_rgb: tuple[float, float, float]
    clothes_pattern: str
    pattern_scale: float
    background: str
    near_rgb: tuple[float, float, float]
    far_rgb: tuple[float, float, float]
    background_angle: float
    background_scale: float
    texture: float
    softness: float
    noise: float


def scene(identity_number: int, picture: int) -> Scene:
    """Draw the scene of a person's image.

    Args:
        identity_number: Number of the person.
        picture: Number of the image; the same numbers always give the same scene.
    """
    rng = np.random.default_rng([11, identity_number, picture])
    clothes = int(rng.integers(len(CLOTHES_COLORS)))
    background = BACKGROUND[int(rng.integers(len(BACKGROUND)))]
    near, far = np.array(_BACKGROUND_RGB[background])
    tint = rng.uniform(-0.16, 0.16, 3)
    return Scene(
        seed=int(rng.integers(2**31)),
        roll=rng.normal(0, 0.07),
        yaw=float(np.clip(rng.normal(0, 0.40), -1, 1)),
        pitch=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        scale=rng.uniform(1.06, 1.26),
        shift_x=rng.uniform(-0.06, 0.06),
        shift_y=rng.uniform(-0.03, 0.06),
        smile=rng.uniform(-0.35, 1.0),
        mouth_open=float(max(0.0, rng.uniform(-0.9, 0.9))),
        eye_open=rng.uniform(0.55, 1.0),
        brow_raise=rng.uniform(-0.02, 0.04),
        gaze_x=rng.uniform(-0.3, 0.3),
        gaze_y=rng.uniform(-0.15, 0.2),
        light_x=rng.uniform(-0.75, 0.75),
        light_y=rng.uniform(-0.7, 0.1),
        ambient=rng.uniform(0.50, 0.80),
        exposure=rng.uniform(0.88, 1.12),
        warmth=rng.uniform(-0.06, 0.06),
        clothes_colour=CLOTHES_COLORS[clothes],
        clothes_rgb=_clip_rgb(CLOTHES_RGB[clothes] + rng.uniform(-0.06, 0.06, 3)),
        trim_rgb=_clip_rgb(rng.uniform(0.05, 0.95, 3)),
        clothes_pattern=CLOTHES_PATTERN[int(rng.integers(len(CLOTHES_PATTERN)))],
        pattern_scale=rng.uniform(11.0, 20.0),
        background=background,
        near_rgb=_clip_rgb(near + tint),
        far_rgb=_clip_rgb(far + tint * rng.uniform(-1, 1)),
        background_angle=rng.uniform(0, np.pi),
        background_scale=rng.uniform(0.8, 1.3),
        texture=rng.uniform(0.6, 1.3),
        softness=rng.uniform(0.25, 0.75),
        noise=rng.uniform(0.003, 0.010),
    )


def scene_phrases(view: Scene) -> list[str]:
    """List clothes, background and smile, one short phrase each."""
    pattern = "" if view.clothes_pattern == "plain" else f"{view.clothes_pattern} "
    article = "an" if not pattern and view.clothes_colour == "orange" else "a"
    attributes = [
        f"{article} {pattern}{view.clothes_colour} shirt",
        f"a {view.background} background",
    ]
    if view.smile > 0.5:
        attributes.append("a smile")
    return attributes


def _clip_rgb(rgb: NDArray[np.float64]) -> tuple[float, float, float]:
    """Clip a color to [0.03, 0.97]."""
    red, green, blue = np.clip(rgb, 0.03, 0.97)
    return float(red), float(green), float(blue)

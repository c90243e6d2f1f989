"""Identities: the permanent attributes of drawn people, and phrases that describe them.

An identity is a whole number, which seeds the generator of its attributes. So the same number is
the same person everywhere. Identities below :data:`EVALUATION_START` are for training, those from
it on for evaluation; no model of the toy world is trained on the latter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EVALUATION_START = 1_000_000
"""First identity reserved for evaluation."""

SKIN = ("pale", "light", "tan", "brown", "dark")
HAIR_COLORS = ("black", "brown", "blond", "red", "grey")
HAIR_STYLE = ("bald", "short", "fringed", "curly", "long")
EYE_COLORS = ("brown", "blue", "green", "grey")
BEARD = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square")

BEARD_PHRASES = {
    "stubble": "stubble",
    "moustache": "a moustache",
    "goatee": "a goatee",
    "full": "a full beard",
}

SKIN_RGB = np.array(
    [
        (0.96, 0.82, 0.74),
        (0.90, 0.71, 0.58),
        (0.78, 0.57, 0.41),
        (0.56, 0.37, 0.25),
        (0.36, 0.23, 0.16),
    ]
)
HAIR_RGB = np.array(
    [
        (0.08, 0.07, 0.07),
        (0.31, 0.19, 0.11),
        (0.82, 0.66, 0.38),
        (0.58, 0.22, 0.08),
        (0.62, 0.61, 0.60),
    ]
)
EYE_RGB = np.array([(0.32, 0.18, 0.08), (0.25, 0.47, 0.72), (0.27, 0.50, 0.29), (0.48, 0.52, 0.55)])
GLASSES_RGB = np.array(
    [(0.07, 0.07, 0.08), (0.45, 0.22, 0.10), (0.62, 0.10, 0.12), (0.72, 0.66, 0.45)]
)

_HAIR_GIVEN_SKIN = np.array(
    [
        (0.12, 0.28, 0.28, 0.20, 0.12),
        (0.22, 0.34, 0.22, 0.10, 0.12),
        (0.45, 0.35, 0.05, 0.03, 0.12),
        (0.64, 0.22, 0.01, 0.01, 0.12),
        (0.80, 0.08, 0.00, 0.00, 0.12),
    ]
)
_EYES_GIVEN_SKIN = np.array(
    [
        (0.25, 0.35, 0.22, 0.18),
        (0.40, 0.28, 0.17, 0.15),
        (0.72, 0.06, 0.14, 0.08),
        (0.90, 0.01, 0.05, 0.04),
        (0.98, 0.00, 0.01, 0.01),
    ]
)


@dataclass(frozen=True)
class Identity:
    """Permanent attributes of one person.

    Lengths are in half image widths, colors are RGB in [0, 1].
    """

    number: int
    skin: str
    skin_rgb: tuple[float, float, float]
    hair_colour: str
    hair_rgb: tuple[float, float, float]
    hair_style: str
    hair_volume: float
    hair_curl: float
    hairline: float
    face_width: float
    face_length: float
    jaw: float
    chin: float
    eye_colour: str
    eye_rgb: tuple[float, float, float]
    eye_size: float
    eye_spacing: float
    eye_height: float
    eye_tilt: float
    brow_thickness: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_thickness: float
    mouth_height: float
    lip_rgb: tuple[float, float, float]
    ear_size: float
    beard: str
    glasses: str
    glasses_rgb: tuple[float, float, float]
    glasses_size: float
    freckles: float
    mole_x: float
    mole_y: float


def identity(number: int) -> Identity:
    """Draw the attributes of a person.

    Args:
        number: Identity, at least 0; from :data:`EVALUATION_START` on it is for evaluation.

    Returns:
        The same attributes for the same number on every machine.

    Raises:
        ValueError: If the number is negative.
    """
    if number < 0:
        msg = f"an identity is a whole number >= 0, got {number}"
        raise ValueError(msg)
    rng = np.random.default_rng([7, number])
    skin = int(rng.choice(5, p=(0.22, 0.26, 0.20, 0.17, 0.15)))
    tone = np.clip(skin + rng.uniform(-0.45, 0.45), 0, 4)
    skin_rgb = _interpolate(SKIN_RGB, tone) * rng.uniform(0.95, 1.05)
    hair = int(rng.choice(5, p=_HAIR_GIVEN_SKIN[skin] / _HAIR_GIVEN_SKIN[skin].sum()))
    eyes = int(rng.choice(4, p=_EYES_GIVEN_SKIN[skin] / _EYES_GIVEN_SKIN[skin].sum()))
    bearded = rng.uniform() < 0.42
    has_glasses = rng.uniform() < 0.36
    lips = skin_rgb * (0.86, 0.60, 0.60) + rng.uniform(0.0, 0.10) * np.array((1.0, 0.1, 0.2))
    return Identity(
        number=number,
        skin=SKIN[skin],
        skin_rgb=_clip_rgb(skin_rgb),
        hair_colour=HAIR_COLORS[hair],
        hair_rgb=_clip_rgb(HAIR_RGB[hair] * rng.uniform(0.85, 1.15) + rng.uniform(-0.02, 0.02, 3)),
        hair_style=HAIR_STYLE[int(rng.choice(5, p=(0.10, 0.26, 0.20, 0.18, 0.26)))],
        hair_volume=rng.uniform(0.05, 0.17),
        hair_curl=rng.uniform(0.0, 1.0),
        hairline=rng.uniform(0.46, 0.72),
        face_width=rng.uniform(0.36, 0.48),
        face_length=rng.uniform(0.50, 0.62),
        jaw=rng.uniform(0.10, 0.50),
        chin=rng.uniform(2.0, 2.9),
        eye_colour=EYE_COLORS[eyes],
        eye_rgb=_clip_rgb(EYE_RGB[eyes] * rng.uniform(0.85, 1.15)),
        eye_size=rng.uniform(0.070, 0.115),
        eye_spacing=rng.uniform(0.155, 0.215),
        eye_height=rng.uniform(-0.13, -0.04),
        eye_tilt=rng.uniform(-0.25, 0.25),
        brow_thickness=rng.uniform(0.014, 0.048),
        brow_arch=rng.uniform(-0.03, 0.07),
        nose_length=rng.uniform(0.15, 0.25),
        nose_width=rng.uniform(0.05, 0.115),
        mouth_width=rng.uniform(0.11, 0.21),
        lip_thickness=rng.uniform(0.018, 0.052),
        mouth_height=rng.uniform(0.25, 0.33),
        lip_rgb=_clip_rgb(lips),
        ear_size=rng.uniform(0.06, 0.12),
        beard=BEARD[int(rng.integers(1, 5))] if bearded else "none",
        glasses=GLASSES[int(rng.integers(1, 3))] if has_glasses else "none",
        glasses_rgb=_clip_rgb(GLASSES_RGB[int(rng.integers(4))]),
        glasses_size=rng.uniform(0.125, 0.170),
        freckles=float(rng.uniform(0.35, 0.75)) if skin <= 2 and rng.uniform() < 0.4 else 0.0,
        mole_x=rng.uniform(-0.28, 0.28),
        mole_y=rng.uniform(0.02, 0.36),
    )


def check_range(first: int, count: int) -> None:
    """Refuse a range of identities that mixes training and evaluation.

    Raises:
        ValueError: If the range has identities of both.
    """
    if first < EVALUATION_START < first + count:
        msg = (
            f"identities {first} to {first + count - 1} mix training (below {EVALUATION_START}) "
            "and evaluation ones"
        )
        raise ValueError(msg)


def phrases(person: Identity) -> list[str]:
    """List the visible attributes of a person, one short phrase each."""
    hair = f"{person.hair_style} {person.hair_colour} hair"
    if person.hair_style == "bald":
        hair = "a bald head"
    attributes = [f"{person.skin} skin", hair, f"{person.eye_colour} eyes"]
    if person.beard != "none":
        attributes.append(BEARD_PHRASES[person.beard])
    if person.glasses != "none":
        attributes.append(f"{person.glasses} glasses")
    if person.freckles > 0:
        attributes.append("freckles")
    return attributes


def stack(people: list[Identity], name: str) -> NDArray[np.float32]:
    """Stack a numeric attribute of B people, (B,), or a color, (B, 3)."""
    return np.array([getattr(person, name) for person in people], dtype=np.float32)


def _interpolate(table: NDArray[np.float64], position: float) -> NDArray[np.float64]:
    """Interpolate linearly between the rows of a table."""
    low = min(int(position), len(table) - 2)
    share = position - low
    return (1 - share) * table[low] + share * table[low + 1]


def _clip_rgb(rgb: NDArray[np.float64]) -> tuple[float, float, float]:
    """Clip a color to [0.02, 0.98]."""
    red, green, blue = np.clip(rgb, 0.02, 0.98)
    return float(red), float(green), float(blue)

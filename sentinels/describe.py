"""Descriptions of source images, and prompts for image generators.

The prompts are inputs of models: every byte of them decides the answers and their cache entries.
"""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sentinels.client import Client
from sentinels.messages import message
from sentinels.word_keys import is_word_key

DESCRIPTION_PROMPT = (
    "Look at the picture and say what characterises it, so that somebody could make a different"
    " picture of the same\n"
    "kind. Keep to the main traits and leave details open. Do not quote writing or numbers, and do"
    " not name or identify persons. Answer with\n"
    "one JSON object and nothing else:\n"
    '{"subject": {"type": "...", "brief description": "..."},\n'
    ' "context": {"setting": "...", "lighting": "...", "color_scheme": ["...", "..."]},\n'
    ' "style": {"visual_type": "...", "era_characteristics": "...", "photo_style": "...",'
    ' "image_quality": "...", "artistic_approach": "...",\n'
    '           "overall_mood": "..."},\n'
    ' "technical": {"resolution": {"width": 0, "height": 0}, "image_type": "..."}}'
)

READING_PROMPT = (
    "Which letters are written in this picture? "
    "Answer with the letters only, or with a single dash if there are none."
)

COLORS = {
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "white": (255, 255, 255),
    "red": (200, 40, 40),
    "orange": (230, 130, 40),
    "yellow": (230, 210, 60),
    "green": (60, 140, 60),
    "blue": (50, 90, 180),
    "purple": (120, 60, 150),
    "pink": (230, 150, 170),
    "brown": (110, 70, 40),
    "beige": (220, 200, 170),
}
"""RGB values of the color names used in descriptions."""


async def ask_description(client: Client, image: bytes, attempt: int) -> str:
    """Ask a service to describe an image; return its answer unparsed.

    Args:
        client: The service.
        image: Content of a JPEG, PNG or WebP file.
        attempt: Number of the attempt from 0; each gets a separate answer.
    """
    salt = str(attempt) if attempt else ""
    return await client.chat([message(DESCRIPTION_PROMPT, [image])], salt=salt)


async def ask_letters(client: Client, image: bytes) -> str:
    """Ask a service to read the letters in an image file."""
    return await client.chat([message(READING_PROMPT, [image])])


def measured_description(rgb: NDArray[np.uint8]) -> str:
    """Describe an image (H, W, 3) by its size, main colors and brightness, without a model."""
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA)
    pixels = small.reshape(-1, 3).astype(np.float32)
    description: dict[str, Any] = {
        "subject": {"type": "picture", "brief description": ""},
        "context": {
            "setting": "",
            "lighting": _lighting(float(pixels.mean())),
            "color_scheme": _main_colors(pixels),
        },
        "technical": {
            "resolution": {"width": width, "height": height},
            "image_type": _orientation(width, height),
        },
    }
    return json.dumps(description)


def _main_colors(pixels: NDArray[np.float32]) -> list[str]:
    """Return the names of the three most frequent colors of pixels (n, 3)."""
    palette = np.array(list(COLORS.values()), np.float32)
    nearest = np.linalg.norm(pixels[:, None] - palette[None], axis=2).argmin(axis=1)
    most_frequent = np.bincount(nearest, minlength=len(palette)).argsort()[::-1][:3]
    names = list(COLORS)
    return [names[index] for index in most_frequent]


def _lighting(mean_level: float) -> str:
    """Name the brightness of a mean gray level (0 to 255)."""
    if mean_level > 160:
        return "bright"
    return "dark" if mean_level < 80 else "even"


def _orientation(width: int, height: int) -> str:
    """Name the aspect ratio; within 10 % of 1 it is square."""
    if abs(width / height - 1) < 0.1:
        return "square"
    return "landscape" if width > height else "portrait"


def generation_prompt(description: str, key: str, size: tuple[int, int]) -> str:
    """Build the prompt of a text-to-image model: the described image with the key in it.

    Args:
        description: Answer of :func:`ask_description` or :func:`measured_description`.
        key: The letters, or the words of things, to draw.
        size: Measured width and height of the source, in pixels.
    """
    width, height = size
    if is_word_key(key):
        return (
            f"Make a picture that shows {key}, and answers this description:\n"
            f"{description}\n\n"
            "Each of these things is whole, unobstructed, easily recognised, and exactly of the "
            "color, pattern and place that are named. They belong to the scene and are not laid "
            "over it. There is no writing in the picture. The rest looks like an ordinary picture "
            f"of its kind, {width} by {height} pixels, {width / height:.2f} times as wide as high. "
            f"Once more, it shows {key}."
        )
    return (
        f'Make a picture that carries the letters "{key}" and answers this description:\n'
        f"{description}\n\n"
        "The letters are the only writing in it. They are as large as the scene allows, in one "
        "line, whole, unobstructed and seen nearly from the front, turned by no more than thirty "
        "degrees. They belong to the scene: painted, printed, engraved or on a sign, not laid over "
        f"it. The rest looks like an ordinary picture of its kind, {width} by {height} pixels, "
        f"{width / height:.2f} times as wide as high. Spelled exactly: {' '.join(key)}."
    )

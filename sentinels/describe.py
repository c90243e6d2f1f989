"""What a source shows, in words: asked of a service, or measured; and what a generator is asked for then."""

from __future__ import annotations

import json

import cv2
import numpy as np
from numpy.typing import NDArray

from sentinels.client import Client
from sentinels.messages import message

DESCRIPTION_PROMPT = """Look at the picture and say what characterises it, so that somebody could make a different picture of the same
kind. Keep to the main traits and leave details open. Do not quote writing or numbers, and do not name or identify persons. Answer with
one JSON object and nothing else:
{"subject": {"type": "...", "brief description": "..."},
 "context": {"setting": "...", "lighting": "...", "color_scheme": ["...", "..."]},
 "style": {"visual_type": "...", "era_characteristics": "...", "photo_style": "...", "image_quality": "...", "artistic_approach": "...",
           "overall_mood": "..."},
 "technical": {"resolution": {"width": 0, "height": 0}, "image_type": "..."}}"""

READING_PROMPT = "Which letters are written in this picture? Answer with the letters only, or with a single dash if there are none."

NAMED = {
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


async def ask_description(client: Client, picture: bytes, attempt: int) -> str:
    """A service's description of a picture file, as it gave it."""
    return await client.chat(
        [message(DESCRIPTION_PROMPT, [picture])], salt=str(attempt) if attempt else ""
    )


async def ask_letters(client: Client, picture: bytes) -> str:
    """What a service reads in a picture file."""
    return await client.chat([message(READING_PROMPT, [picture])])


def measured_description(rgb: NDArray[np.uint8]) -> str:
    """What can be said of a picture (H, W, 3) without a model: its size, its main colours, its light."""
    height, width = rgb.shape[:2]
    small = (
        cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    )
    palette = np.array(list(NAMED.values()), np.float32)
    nearest = np.linalg.norm(small[:, None] - palette[None], axis=2).argmin(axis=1)
    common = np.bincount(nearest, minlength=len(palette)).argsort()[::-1][:3]
    light = "bright" if small.mean() > 160 else "dark" if small.mean() < 80 else "even"
    shape = (
        "square" if abs(width / height - 1) < 0.1 else "landscape" if width > height else "portrait"
    )
    return json.dumps(
        {
            "subject": {"type": "picture", "brief description": ""},
            "context": {
                "setting": "",
                "lighting": light,
                "color_scheme": [list(NAMED)[place] for place in common],
            },
            "technical": {"resolution": {"width": width, "height": height}, "image_type": shape},
        }
    )


def generation_prompt(description: str, key: str, size: tuple[int, int]) -> str:
    """What a text-to-image model is asked for: a picture as described, with the key in it.

    Args:
        description: As :func:`ask_description` or :func:`measured_description` gave it.
        key: The letters.
        size: Width and height of the source, in pixels: measured, not what a model said.
    """
    width, height = size
    return (
        f'Make a picture that carries the letters "{key}" and answers this description:\n{description}\n\n'
        "The letters are the only writing in it. They are as large as the scene allows, in one line, whole, unobstructed and seen nearly "
        "from the front, turned by no more than thirty degrees. They belong to the scene: painted, printed, engraved or on a sign, not "
        f"laid over it. The rest looks like an ordinary picture of its kind, {width} by {height} pixels, "
        f"{width / height:.2f} times as wide as high. Spelled exactly: {' '.join(key)}."
    )

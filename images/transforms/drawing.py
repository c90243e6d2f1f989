"""What people put on and around pictures: captions, text, stickers, the frame of a screenshot. Everything is drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from images.transforms.corruptions import Levels
from images.transforms.edits import on_image

Page = Literal["web", "mobile"]

PAGES: dict[Page, tuple[tuple[int, int], tuple[int, int, int, int]]] = {
    "web": ((1200, 736), (254, 424, 783, 710)),
    "mobile": ((414, 736), (27, 411, 389, 689)),
}
"""Size of each page, and the box of its picture: left, top, right, bottom."""

BANNER = 250
STICKERS = ("smile", "heart", "star", "drop")


@cache
def fonts() -> tuple[Path, ...]:
    """The fonts that come with matplotlib and have letters."""
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return tuple(sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name))


def font(path: Path, size: float) -> ImageFont.FreeTypeFont:
    """A font in a size in pixels."""
    return ImageFont.truetype(str(path), max(1, round(size)))


@dataclass(frozen=True)
class MemeFormat:
    """A white banner of 250 pixels above the picture, with a word in black."""

    text: str = "LOL"

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        height, width = rgb.shape[:2]
        canvas = Image.new("RGB", (width, height + BANNER), "white")
        canvas.paste(Image.fromarray(rgb), (0, BANNER))
        draw = ImageDraw.Draw(canvas)
        size = BANNER - 10
        while size > 5:
            used = font(fonts()[1], size)
            left, top, right, bottom = draw.textbbox((0, 0), self.text, used)
            if right - left <= width - 10 and bottom - top <= BANNER - 10:
                break
            size -= 5
        draw.text((width / 2, BANNER / 2), self.text, "black", used, anchor="mm")
        return np.asarray(canvas)


@dataclass(frozen=True)
class ScreenshotFrame:
    """Shown on a page of a site and photographed off the screen: scaled into the page's box, the rest of which is black.

    Attributes:
        page: ``web`` or ``mobile``.
        fill: Cut the picture to the box's proportions instead.
    """

    page: Page = "web"
    fill: bool = False

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        _, (left, top, right, bottom) = PAGES[self.page]
        image, box = Image.fromarray(rgb), (right - left, bottom - top)
        ratios = [room / side for room, side in zip(box, image.size, strict=True)]
        factor = max(ratios) if self.fill else min(ratios)
        how = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BILINEAR
        image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), how)
        shown = Image.new("RGB", box, "black")
        shown.paste(image, ((box[0] - image.width) // 2, (box[1] - image.height) // 2))
        canvas = blank_page(self.page).copy()
        canvas.paste(shown, (left, top))
        return np.asarray(canvas)


@cache
def blank_page(page: Page) -> Image.Image:
    """A page as sites look: a bar, a name, lines of text, things beside; the picture's place is empty."""
    (width, height), (left, top, right, bottom) = PAGES[page]
    canvas = Image.new("RGB", (width, height), (240, 242, 245))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, 48), (66, 103, 178))
    draw.rounded_rectangle((16, 12, min(220, width // 2), 36), 6, "white")
    draw.rectangle((left - 12, 64, right + 12, height), "white")
    draw.ellipse((left, 80, left + 44, 124), (200, 205, 212))
    draw.text((left + 56, 84), "A page", (20, 22, 26), font(fonts()[0], 18))
    for number, line in enumerate(range(140, top - 24, 26)):
        draw.rounded_rectangle((left, line, left + (right - left) * (0.55 + 0.4 * ((number * 7) % 5) / 5), line + 10), 4, (214, 217, 222))
    for box in range(80, height - 90, 110) if right + 60 < width else ():
        draw.rounded_rectangle((right + 40, box, width - 24, box + 90), 8, "white")
    draw.rectangle((left, bottom + 4, right, height), (247, 248, 250))
    return canvas


@dataclass(frozen=True)
class Text:
    """Letters written on the picture, at a random place, size, font and colour."""

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        height, width = rgb.shape[:2]
        letters = "".join(chr(rng.integers(33, 127)) for _ in range(rng.integers(5, 16)))
        used = font(fonts()[rng.integers(len(fonts()))], rng.uniform(0.1, 0.3) * min(height, width))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        place = (rng.uniform(0, 0.6) * width, rng.uniform(0, 0.6) * height)

        def write(image: Image.Image) -> Image.Image:
            ImageDraw.Draw(image).text(place, letters, colour, used)
            return image

        return on_image(rgb, write)


@dataclass(frozen=True)
class Sticker:
    """A drawn sticker over a large part of the picture, more or less transparent."""

    def __call__(self, rgb: Levels, rng: np.random.Generator) -> Levels:
        height, width = rgb.shape[:2]
        side = max(4, round(rng.uniform(0.4, 0.8) * height))
        mark = sticker(STICKERS[rng.integers(len(STICKERS))]).resize((side, side), Image.Resampling.BILINEAR)
        place = (round(rng.uniform(0, 0.8) * width), round(rng.uniform(0, 0.8) * height))
        cover = mark.getchannel("A").point([round(value * rng.uniform(0.5, 1)) for value in range(256)])
        canvas = Image.fromarray(rgb)
        canvas.paste(mark.convert("RGB"), place, cover)
        return np.asarray(canvas)


@cache
def sticker(kind: str) -> Image.Image:
    """A sticker of 256 pixels on a transparent ground."""
    canvas = Image.new("RGBA", (256, 256))
    draw = ImageDraw.Draw(canvas)
    if kind == "smile":
        draw.ellipse((8, 8, 248, 248), (255, 205, 60))
        for left in (80, 150):
            draw.ellipse((left, 85, left + 26, 120), (90, 60, 20))
        draw.arc((70, 95, 186, 200), 20, 160, (90, 60, 20), 12)
    elif kind == "heart":
        for left in (20, 118):
            draw.ellipse((left, 30, left + 118, 148), (220, 40, 60))
        draw.polygon(((28, 118), (228, 118), (128, 240)), (220, 40, 60))
    elif kind == "star":
        turns = np.arange(10) * np.pi / 5 - np.pi / 2
        reach = np.where(np.arange(10) % 2 == 0, 120, 50)
        draw.polygon([(128 + r * np.cos(t), 128 + r * np.sin(t)) for r, t in zip(reach, turns, strict=True)], (250, 180, 40))
    else:
        draw.ellipse((48, 90, 208, 250), (70, 150, 240))
        draw.polygon(((128, 6), (62, 135), (194, 135)), (70, 150, 240))
    return canvas

"""Captions, text, stickers and screenshot frames on 8-bit images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from images.transforms.codecs import jpeg
from images.transforms.geometry import Resize
from images.transforms.protocol import RGBImage, on_pillow

Page = Literal["web", "mobile"]

PAGES: dict[Page, tuple[tuple[int, int], tuple[int, int, int, int]]] = {
    "web": ((1200, 736), (254, 424, 783, 710)),
    "mobile": ((414, 736), (27, 411, 389, 689)),
}
"""Size (width, height) of each page, and box (left, top, right, bottom) of its image, in pixels."""

BANNER = 250
"""Height of a meme's caption, in pixels."""

STICKERS = ("smile", "heart", "star", "drop")

PAGE_GRAY = 245
"""Gray level of a screenshot's page."""


@cache
def fonts() -> tuple[Path, ...]:
    """List the text fonts that come with matplotlib."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    return tuple(sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name))


def font(path: Path, size: float) -> ImageFont.FreeTypeFont:
    """Open a font at a size in pixels, at least 1."""
    return ImageFont.truetype(str(path), max(1, round(size)))


@dataclass(frozen=True)
class MemeFormat:
    """Meme caption: black text on a white banner of 250 pixels above the image."""

    text: str = "LOL"

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
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
class Screenshot:
    """Screenshot: the resized image on a plain page, as JPEG.

    Attributes:
        factor: Scale of each side, above 0.
        quality: JPEG quality, 1 to 100.
    """

    factor: float = 0.8
    quality: int = 80

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        small = Resize(self.factor, "bilinear")(rgb, rng)
        border = max(1, round(0.06 * min(small.shape[:2])))
        margins = ((border, border), (border, border), (0, 0))
        page = np.pad(small, margins, constant_values=PAGE_GRAY)
        return jpeg(page, self.quality)


@dataclass(frozen=True)
class ScreenshotFrame:
    """Screenshot of a web or mobile page with the image in a black box.

    Attributes:
        page: ``web`` or ``mobile``.
        fill: Crop the image to fill the box.
    """

    page: Page = "web"
    fill: bool = False

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        _, (left, top, right, bottom) = PAGES[self.page]
        image = Image.fromarray(rgb)
        box = (right - left, bottom - top)
        ratios = box[0] / image.width, box[1] / image.height
        factor = max(ratios) if self.fill else min(ratios)
        resample = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BILINEAR
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        image = image.resize(size, resample)
        shown = Image.new("RGB", box, "black")
        shown.paste(image, ((box[0] - image.width) // 2, (box[1] - image.height) // 2))
        canvas = blank_page(self.page).copy()
        canvas.paste(shown, (left, top))
        return np.asarray(canvas)


@cache
def blank_page(page: Page) -> Image.Image:
    """Draw a web or mobile page without an image."""
    # Draw bar and column.
    (width, height), (left, top, right, bottom) = PAGES[page]
    canvas = Image.new("RGB", (width, height), (240, 242, 245))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, 48), (66, 103, 178))
    draw.rounded_rectangle((16, 12, min(220, width // 2), 36), 6, "white")
    draw.rectangle((left - 12, 64, right + 12, height), "white")
    draw.ellipse((left, 80, left + 44, 124), (200, 205, 212))
    draw.text((left + 56, 84), "A page", (20, 22, 26), font(fonts()[0], 18))
    # Draw lines of text of different length.
    for number, line in enumerate(range(140, top - 24, 26)):
        share = 0.55 + 0.4 * ((number * 7) % 5) / 5  # of the width
        end = left + (right - left) * share
        draw.rounded_rectangle((left, line, end, line + 10), 4, (214, 217, 222))
    # Draw side boxes and a footer.
    for box in range(80, height - 90, 110) if right + 60 < width else ():
        draw.rounded_rectangle((right + 40, box, width - 24, box + 90), 8, "white")
    draw.rectangle((left, bottom + 4, right, height), (247, 248, 250))
    return canvas


@dataclass(frozen=True)
class Text:
    """Random text at a random position, size, font and color."""

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        letters = "".join(chr(rng.integers(33, 127)) for _ in range(rng.integers(5, 16)))
        used = font(fonts()[rng.integers(len(fonts()))], rng.uniform(0.1, 0.3) * min(height, width))
        color = tuple(int(value) for value in rng.integers(0, 255, 3))
        place = (rng.uniform(0, 0.6) * width, rng.uniform(0, 0.6) * height)

        def write(image: Image.Image) -> Image.Image:
            ImageDraw.Draw(image).text(place, letters, color, used)
            return image

        return on_pillow(rgb, write)


@dataclass(frozen=True)
class Sticker:
    """Semi-transparent sticker over a large part of the image."""

    def __call__(self, rgb: RGBImage, rng: np.random.Generator) -> RGBImage:
        height, width = rgb.shape[:2]
        side = max(4, round(rng.uniform(0.4, 0.8) * height))
        kind = STICKERS[rng.integers(len(STICKERS))]
        mark = sticker(kind).resize((side, side), Image.Resampling.BILINEAR)
        place = (round(rng.uniform(0, 0.8) * width), round(rng.uniform(0, 0.8) * height))
        opacity = [round(value * rng.uniform(0.5, 1)) for value in range(256)]
        cover = mark.getchannel("A").point(opacity)
        canvas = Image.fromarray(rgb)
        canvas.paste(mark.convert("RGB"), place, cover)
        return np.asarray(canvas)


@cache
def sticker(kind: str) -> Image.Image:
    """Draw one of :data:`STICKERS`, 256 x 256 pixels, on a transparent background."""
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
        points = zip(128 + reach * np.cos(turns), 128 + reach * np.sin(turns), strict=True)
        draw.polygon(list(points), (250, 180, 40))
    else:
        draw.ellipse((48, 90, 208, 250), (70, 150, 240))
        draw.polygon(((128, 6), (62, 135), (194, 135)), (70, 150, 240))
    return canvas

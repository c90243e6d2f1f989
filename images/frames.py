"""Files of more than one image: frames of animations, pages, previews and maps of depth."""

from __future__ import annotations

from PIL import Image, MpoImagePlugin, TiffImagePlugin

from images.kinds import UnreadableImage

DNG_VERSION = 50706
NEW_SUBFILE_TYPE = 254
REDUCED_OR_MASK = 1 | 4
"""Bits of a TIFF page's NewSubfileType: a smaller copy of another page, or its mask."""


def refuse_frames(image: Image.Image, name: str, notes: list[str]) -> None:
    """Let a file pass that is one image, with at most a preview or a depth map of it behind.

    Raises:
        UnreadableImage: If it has several frames or pages, or only the preview of a camera raw.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        frames, left_out = _pages(image, name)
    elif isinstance(image, MpoImagePlugin.MpoImageFile):
        further = (image.mpinfo or {})[0xB002][1:]
        kinds = [str(entry["Attribute"]["MPType"]) for entry in further]
        frames = 1 + sum(kind.startswith("Multi-Frame") for kind in kinds)
        left_out = len(kinds)
    else:
        frames = getattr(image, "n_frames", 1)
        left_out = int("mp" in image.info)  # the map that makes it one of high dynamic range
    if frames > 1:
        msg = f"{name}: has {frames} frames or pages, not one image; save those you mean as own files"
        raise UnreadableImage(msg)
    if left_out:
        further_images = "1 further image" if left_out == 1 else f"{left_out} further images"
        notes.append(f"{further_images} in the file (preview or map of depth or light) left out")


def _pages(image: TiffImagePlugin.TiffImageFile, name: str) -> tuple[int, int]:
    """How many images a TIFF has, up to 2, and how many smaller copies and masks."""
    if DNG_VERSION in image.tag_v2 or image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & REDUCED_OR_MASK:
        msg = f"{name}: a camera raw or its preview; develop it and save it as PNG or JPEG"
        raise UnreadableImage(msg)
    images, copies = 1, 0
    try:
        while images < 2:
            image.seek(image.tell() + 1)
            if image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & REDUCED_OR_MASK:
                copies += 1
            else:
                images += 1
    except EOFError:
        pass
    image.seek(0)
    return images, copies

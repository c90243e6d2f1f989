"""Files with several images: animations, pages, previews and depth maps."""

from __future__ import annotations

from PIL import GifImagePlugin, Image, MpoImagePlugin, TiffImagePlugin

from images.kinds import UnreadableImage

DNG_VERSION = 50706
NEW_SUBFILE_TYPE = 254
REDUCED_OR_MASK = 1 | 4
"""NewSubfileType bits of a TIFF page that is a preview or mask of another page."""


def refuse_frames(image: Image.Image, name: str, notes: list[str]) -> None:
    """Refuse files with several frames or pages, except GIF files.

    Previews and depth maps beside the image are allowed. The first frame of a GIF is read, since
    most GIF files are animations.

    Args:
        image: Image opened by Pillow.
        name: Name of the file in error messages.
        notes: Receives a sentence about ignored images or frames.

    Raises:
        UnreadableImage: If the file has several frames or pages, or is a camera raw.
    """
    # Count frames, and images to ignore.
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        frames, left_out = _pages(image, name)
    elif isinstance(image, MpoImagePlugin.MpoImageFile):
        further = (image.mpinfo or {})[0xB002][1:]
        kinds = [str(entry["Attribute"]["MPType"]) for entry in further]
        frames = 1 + sum(kind.startswith("Multi-Frame") for kind in kinds)
        left_out = len(kinds)
    else:
        frames = getattr(image, "n_frames", 1)
        left_out = int("mp" in image.info)  # gain map of a high-dynamic-range image
    # Refuse several frames.
    if frames > 1 and isinstance(image, GifImagePlugin.GifImageFile):
        notes.append(f"the first of its {frames} frames is read")
        frames = 1
    if frames > 1:
        msg = f"{name}: has {frames} frames or pages; save each image as its own file"
        raise UnreadableImage(msg)
    if left_out:
        further_images = "1 further image" if left_out == 1 else f"{left_out} further images"
        notes.append(f"{further_images} in the file (preview, depth or gain map) left out")


def _pages(image: TiffImagePlugin.TiffImageFile, name: str) -> tuple[int, int]:
    """Count a TIFF's images, up to 2, and its previews and masks."""
    if DNG_VERSION in image.tag_v2 or image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & REDUCED_OR_MASK:
        msg = f"{name}: a camera raw or its preview; develop it and save it as PNG or JPEG"
        raise UnreadableImage(msg)
    images = 1
    copies = 0
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

"""Protect a portrait in Python: a Pillow image in, a Pillow image out.

No value changes by more than the weights' budget. The shipped toy weights protect only against the
toy models beside them; use released weights for real images. Run it in the repository:

    python -m examples.protect               # a drawn portrait, into outputs/examples/protect
    python -m examples.protect OUT/ ME.jpg   # a photo of yours
"""

import sys
from pathlib import Path

from PIL import Image

from images.given import to_pillow
from images.io import to_rgb
from images.photo import Photo
from rid import Protector
from tiny.dataset import PortraitDataset


def draw_portrait() -> Image.Image:
    """Draw a portrait of an evaluation identity."""
    tensor = PortraitDataset(first=1_000_000, identities=1, pictures=1, size=128)[0]["image"]
    return to_pillow(Photo(to_rgb(tensor)))


def main(output: Path = Path("outputs/examples/protect"), photo: Path | None = None) -> None:
    """Protect an image, and save it before and after."""
    image = Image.open(photo) if photo else draw_portrait()

    protector = Protector.from_pretrained("checkpoints/tiny/rid")
    # Images in a list are protected one by one.
    protected = protector.protect(image)[0]

    output.mkdir(parents=True, exist_ok=True)
    image.save(output / "original.png")
    # The saved file has a mark, by which a second protection is refused.
    protected.save(output / "protected.png")
    print(f"{output / 'protected.png'}, {protected.image.width} x {protected.image.height} pixels")
    print(
        f"largest change {protected.levels} of 255 levels, budget {protector.budget:g}; "
        f"PSNR {protected.psnr:.1f} dB"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

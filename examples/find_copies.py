"""Find copies of images in Python.

Activate an image, add it to an index, and search its edited copy. The shipped toy index holds 2,000
drawn images. Run it in the repository:

    python -m examples.find_copies               # a drawn image, into outputs/examples/copies
    python -m examples.find_copies OUT/ ME.jpg   # an image of yours
"""

import sys
from pathlib import Path

from PIL import ImageEnhance

from images.given import given_images, to_pillow
from indexing import ActivationConfig, Activator, Index
from tiny.collages import collage

INDEX = "checkpoints/tiny/index"


def main(output: Path = Path("outputs/examples/copies"), photo: Path | None = None) -> None:
    """Activate an image, release it, and find an edited copy."""
    original = given_images(photo or collage(123_456))[0].photo

    # Change the image slightly, so that its descriptor moves towards the index's code for it.
    activator = Activator.open(INDEX, ActivationConfig(min_psnr=42))
    activated = activator.activate_images(original)[0]
    output.mkdir(parents=True, exist_ok=True)
    activated.save(output / "activated.png")
    result = activated.indices["index"]
    print(f"activated: PSNR {activated.psnr:.1f} dB, squared distance to the target ", end="")
    print(f"{result.distance_before:.3f} before, {result.distance_after:.3f} after")
    print(f"a search finds it: {'yes' if result.found else 'no'}")

    # The index learns the original. The activated image is what is published.
    index = Index.open(INDEX)
    index.add_images(["mine"], original)

    # Somebody edits the published image.
    published = to_pillow(activated.photo)
    copy = ImageEnhance.Brightness(published).enhance(1.5)
    for match in index.find(copy, k=3)[0]:
        print(f"{match.rank}. {match.match}: similarity {match.similarity:.3f}, {match.verdict}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

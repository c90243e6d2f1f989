"""Tab Protect: protects photos."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from eval.demo.image_files import CHANGE, save_full_size, save_thumbnail, stem
from eval.demo.sessions import Sessions
from eval.demo.tab import Given, Tab
from images.io import clamp_to_budget, to_rgb, without_metadata
from images.metrics import amplify_change, max_change_and_psnr
from images.photo import Photo
from images.transforms import RGBImage
from rid.protect.protector import Protector

NAME = "Protect"

EXAMPLES = {"Example: a drawn portrait": ("Protect", ["portrait.png"])}


def add(model: str, sessions: Sessions) -> None:
    """Add the components of the tab.

    Args:
        model: RID generator: a folder or Hub id.
        sessions: Visitors' files.

    Raises:
        FileNotFoundError: If the model is missing.
        ValueError: If it is not a generator.
    """
    protector = Protector.from_pretrained(model)

    def protect(given: Given) -> Iterator[tuple[list[tuple[str, str]], list[str]]]:
        """Protect the photos: gallery and files."""
        gallery: list[tuple[str, str]] = []
        results: list[str] = []
        for number, name, photo in given.each():
            clean = without_metadata(photo)
            protected = Photo(protect_rgb(protector, clean), clean.alpha)
            images, largest = _save(clean, protected, given, number, stem(name))
            gallery += images
            results.append(images[1][0])
            given.report.append(
                f"{name}: protected, no value changed by more than {largest} of 255 levels"
            )
            yield gallery, results
        yield gallery, results

    # Lay out the tab.
    gr.Markdown(
        f"Protects photos against personalization with **{model}** "
        f"(at most {protector.budget:g} of 255 gray levels). The small weights that ship with the "
        "project defend only against the small models beside them."
    )
    tab = Tab(sessions, "protect", "Photos to protect", {"Protect": protect}, EXAMPLES)
    gallery = gr.Gallery(
        label="Clean, protected, amplified difference",
        columns=3,
        format="png",
        elem_id="protect-shown",
    )
    results = gr.File(
        label="Protected photos", file_count="multiple", interactive=False, elem_id="protect-made"
    )
    tab.connect(gallery, results)


def protect_rgb(protector: Protector, photo: Photo) -> RGBImage:
    """Protect a photo within the budget, (H, W, 3)."""
    clean = photo.tensor()
    protected = clamp_to_budget(protector(clean.unsqueeze(0))[0], clean, protector.budget)
    return to_rgb(protected)


def _save(
    clean: Photo, protected: Photo, given: Given, number: int, name: str
) -> tuple[list[tuple[str, str]], int]:
    """Save the clean photo, the protected photo and their difference.

    Returns:
        Files with captions, and the largest change in gray levels.
    """
    difference = amplify_change(clean.rgb, protected.rgb)
    images = [
        (save_thumbnail(clean.rgb, given.file(number, "clean.png")), f"{name}: clean"),
        (
            save_full_size(protected, given.file(number, f"{name}-protected.png")),
            f"{name}: protected",
        ),
        (save_thumbnail(difference, given.file(number, "difference.png")), f"{name}: {CHANGE}"),
    ]
    largest, _ = max_change_and_psnr(clean.rgb, protected.rgb)
    return images, largest

"""Tab Detect: tells generated images from photographs."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from checkpoints.card import made_for
from checkpoints.folders import model_path
from detectors.detector import Detector
from detectors.guarantee import (
    NOT_BOUNDED,
    bound_words,
    domain_words,
    prior_words,
    purpose_words,
)
from detectors.heat_maps import heat_image
from eval.demo.image_files import save_thumbnail
from eval.demo.sessions import Sessions
from eval.demo.tab import Given, Tab

NAME = "Detect"

EXAMPLES = {
    "Example: a drawn portrait": ("Detect", ["person-1.png"]),
    "Example: a portrait by a small pipeline": ("Detect", ["generated.png"]),
}


def add(
    model: str,
    sessions: Sessions,
    max_fpr: float | None = None,
    prevalence: float | None = None,
) -> None:
    """Add the components of the tab.

    Args:
        model: Detector: a folder or Hub id.
        sessions: Visitors' files.
        max_fpr: Rate of the operating point of the verdicts; None for the calibration's.
        prevalence: Share of generated images that P assumes; None for the calibration's.

    Raises:
        FileNotFoundError: If the model is missing.
        ValueError: If it is not a detector, or has no such operating point.
    """
    detector = Detector.from_pretrained(model)
    detector.calibration = detector.calibration.at(max_fpr, prevalence)

    def detect(given: Given) -> Iterator[tuple[list[list[str]], list[tuple[str, str]]]]:
        """Score the images: table and gallery."""
        rows: list[list[str]] = []
        gallery: list[tuple[str, str]] = []
        for number, name, shown in given.each():
            photo = shown.on_white()
            (seen,) = detector.predict(photo.rgb)
            rows.append([name, seen.verdict, f"{seen.probability:.3f}", seen.reason])
            file = save_thumbnail(photo.rgb, given.file(number, "seen.png"))
            gallery.append((file, f"{name}: {seen.verdict}, P = {seen.probability:.3f}"))
            heat = heat_image(photo.rgb, detector)
            if heat is not None:
                file = save_thumbnail(heat, given.file(number, "heat.png"))
                gallery.append((file, f"{name}: heat map"))
            yield rows, gallery
        given.report.append(f"{len(given.photos)} judged")
        yield rows, gallery

    # Lay out the tab.
    path = model_path(model)
    purpose = made_for(path) if path.is_dir() else ""
    calibration = detector.calibration
    gr.Markdown(
        f"Detector: **{purpose_words(model, purpose)}**\n\n{bound_words(calibration)}; "
        f"{domain_words(calibration)}. {NOT_BOUNDED} {prior_words(calibration)}. "
        "Bright places of a heat map look generated to it; very large images have none."
    )
    tab = Tab(sessions, "detect", "Images to judge", {"Detect": detect}, EXAMPLES)
    table = gr.Dataframe(
        headers=["image", "verdict", "P(generated)", "why unsure"],
        datatype="str",
        interactive=False,
        elem_id="detect-table",
    )
    gallery = gr.Gallery(
        label="Images and heat maps", columns=2, format="png", elem_id="detect-shown"
    )
    tab.connect(table, gallery)

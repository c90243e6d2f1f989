"""Tab Detect: tells generated images from photographs."""

from __future__ import annotations

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

NAME = "Detect"


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

    def detect(
        paths: list[str] | None, request: gr.Request
    ) -> tuple[list[list[str]], list[tuple[str, str]], str]:
        """Score the uploaded images: table, gallery and report."""
        photos, report = sessions.open(paths, request)
        folder = sessions.folder(request)
        rows: list[list[str]] = []
        gallery: list[tuple[str, str]] = []
        for number, (name, photo) in enumerate(photos):
            (seen,) = detector.predict(photo.rgb)
            rows.append([name, seen.verdict, f"{seen.probability:.3f}", seen.reason])
            file = save_thumbnail(photo.rgb, folder / f"{number}-seen.png")
            gallery.append((file, f"{name}: {seen.verdict}, P = {seen.probability:.3f}"))
            heat = heat_image(photo.rgb, detector)
            if heat is not None:
                file = save_thumbnail(heat, folder / f"{number}-heat.png")
                gallery.append((file, f"{name}: heat map"))
        return rows, gallery, "\n".join([*report, f"{len(photos)} judged"])

    # Lay out the tab.
    path = model_path(model)
    purpose = made_for(path) if path.is_dir() else ""
    calibration = detector.calibration
    gr.Markdown(
        f"Detector: **{purpose_words(model, purpose)}**\n\n{bound_words(calibration)}; "
        f"{domain_words(calibration)}. {NOT_BOUNDED} {prior_words(calibration)}. "
        "Bright places of a heat map look generated to it; very large images have none."
    )
    files = sessions.files("Images to judge", "detect-files")
    button = gr.Button("Detect", variant="primary", elem_id="detect-button")
    report = gr.Textbox(label="Report", elem_id="detect-report")
    table = gr.Dataframe(
        headers=["image", "verdict", "P(generated)", "why unsure"],
        datatype="str",
        interactive=False,
        elem_id="detect-table",
    )
    gallery = gr.Gallery(
        label="Images and heat maps", columns=2, format="png", elem_id="detect-shown"
    )
    button.click(detect, files, [table, gallery, report], concurrency_id="models")

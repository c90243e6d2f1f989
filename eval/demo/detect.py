"""Tab Detect: tells generated images from photographs."""

from __future__ import annotations

import gradio as gr

from detectors.detector import Detector
from detectors.scan_page import heat_image
from eval.demo.image_files import save_thumbnail
from eval.demo.sessions import Sessions

NAME = "Detect"


def add(model: str, sessions: Sessions) -> None:
    """Add the components of the tab.

    Args:
        model: Detector: a folder or Hub id.
        sessions: Visitors' files.

    Raises:
        FileNotFoundError: If the model is missing.
        ValueError: If it is not a detector.
    """
    detector = Detector.from_pretrained(model)

    def detect(
        paths: list[str] | None, request: gr.Request
    ) -> tuple[list[list[str]], list[tuple[str, str]], str]:
        """Score the uploaded images: table, gallery and report."""
        photos, report = sessions.open(paths, request)
        folder = sessions.folder(request)
        rows: list[list[str]] = []
        gallery: list[tuple[str, str]] = []
        for number, (name, photo) in enumerate(photos):
            probability = float(detector.probability(photo.tensor().unsqueeze(0))[0])
            verdict = detector.calibration.verdict(probability)
            rows.append([name, verdict, f"{probability:.3f}"])
            file = save_thumbnail(photo.rgb, folder / f"{number}-seen.png")
            gallery.append((file, f"{name}: {verdict}, P = {probability:.3f}"))
            heat = heat_image(photo.rgb, detector)
            if heat is not None:
                file = save_thumbnail(heat, folder / f"{number}-heat.png")
                gallery.append((file, f"{name}: heat map"))
        return rows, gallery, "\n".join([*report, f"{len(photos)} judged"])

    # Lay out the tab.
    images = detector.calibration.pictures
    calibration = "**not calibrated**: its probabilities are raw scores"
    if images:
        calibration = f"calibrated on {images} images"
    gr.Markdown(
        f"Detector: **{model}**, {calibration}. Bright places of a heat map look generated to it; "
        "some networks have no heat map. The small weights that ship with the project are trained "
        "on drawn portraits only."
    )
    files = sessions.files("Images to judge", "detect-files")
    button = gr.Button("Detect", variant="primary", elem_id="detect-button")
    report = gr.Textbox(label="Report", elem_id="detect-report")
    table = gr.Dataframe(
        headers=["image", "verdict", "P(generated)"],
        datatype="str",
        interactive=False,
        elem_id="detect-table",
    )
    gallery = gr.Gallery(
        label="Images and heat maps", columns=2, format="png", elem_id="detect-shown"
    )
    button.click(detect, files, [table, gallery, report], concurrency_id="models")

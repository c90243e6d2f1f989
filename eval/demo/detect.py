"""The tab that tells generated pictures from photographs."""

from __future__ import annotations

import gradio as gr

from detectors.detector import Detector
from detectors.scan_page import heat_image
from eval.demo.sessions import Sessions
from eval.demo.shown import thumbnail

NAME = "Detect"


def add(model: str, sessions: Sessions) -> None:
    """Put the tab's parts into the open tab.

    Args:
        model: Detector, a folder or Hub id.
        sessions: Keeps the visitors' files.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is not a detector.
    """
    detector = Detector.from_pretrained(model)

    def detect(
        paths: list[str] | None, request: gr.Request
    ) -> tuple[list[list[str]], list[tuple[str, str]], str]:
        photos, refused = sessions.open(paths, request)
        folder, rows, shown = sessions.folder(request), [], []
        for number, (name, photo) in enumerate(photos):
            probability = float(detector.probability(photo.tensor().unsqueeze(0))[0])
            verdict = detector.calibration.verdict(probability)
            rows.append([name, verdict, f"{probability:.3f}"])
            shown.append(
                (
                    thumbnail(photo.rgb, folder / f"{number}-seen.png"),
                    f"{name}: {verdict}, P = {probability:.3f}",
                )
            )
            if (heat := heat_image(photo.rgb, detector)) is not None:
                shown.append((thumbnail(heat, folder / f"{number}-heat.png"), f"{name}: where"))
        return rows, shown, "\n".join([*refused, f"{len(photos)} judged"])

    fitted = detector.calibration.pictures
    words = (
        f"calibrated on {fitted} pictures"
        if fitted
        else "**not calibrated**: its probabilities are its own idea"
    )
    gr.Markdown(
        f"Asks **{model}**, {words}. Bright places of a heat map look generated to it; some networks have none. "
        "The small weights that ship with the project know drawn portraits only."
    )
    files = sessions.files("Pictures to judge", "detect-files")
    button = gr.Button("Detect", variant="primary", elem_id="detect-button")
    report = gr.Textbox(label="What was done", elem_id="detect-report")
    table = gr.Dataframe(
        headers=["picture", "verdict", "P(generated)"],
        datatype="str",
        interactive=False,
        elem_id="detect-table",
    )
    shown = gr.Gallery(
        label="Pictures and heat maps", columns=2, format="png", elem_id="detect-shown"
    )
    button.click(detect, files, [table, shown, report], concurrency_id="models")

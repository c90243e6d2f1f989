"""The tab that protects photos."""

from __future__ import annotations

import gradio as gr
import numpy as np
from torch import Tensor

from eval.demo.sessions import Sessions
from eval.demo.shown import CHANGE, thumbnail, whole
from images.io import Photo, clamp_to_budget, without_metadata
from images.metrics import amplify_change, max_change_and_psnr
from rid.protect.protector import Protector

NAME = "Protect"


def add(model: str, sessions: Sessions) -> None:
    """Put the tab's parts into the open tab.

    Args:
        model: RID generator, a folder or Hub id.
        sessions: Keeps the visitors' files.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is not a generator.
    """
    protector = Protector.from_pretrained(model)

    def protect(
        paths: list[str] | None, request: gr.Request
    ) -> tuple[list[tuple[str, str]], list[str], str]:
        photos, report = sessions.open(paths, request)
        folder, shown, made = sessions.folder(request), [], []
        for number, (name, photo) in enumerate(photos):
            clean = without_metadata(photo)
            before = clean.tensor()
            after = clamp_to_budget(protector(before.unsqueeze(0))[0], before, protector.budget)
            changed = _rgb(after)
            stem = name.rsplit(".", 1)[0]
            made.append(
                whole(Photo(changed, clean.alpha), folder / f"{number}-{stem}-protected.png")
            )
            shown.append((thumbnail(clean.rgb, folder / f"{number}-clean.png"), f"{stem}: clean"))
            shown.append((made[-1], f"{stem}: protected"))
            shown.append(
                (
                    thumbnail(
                        amplify_change(clean.rgb, changed), folder / f"{number}-difference.png"
                    ),
                    f"{stem}: {CHANGE}",
                )
            )
            largest, _ = max_change_and_psnr(clean.rgb, changed)
            report.append(
                f"{name}: protected, no value changed by more than {largest} of 255 levels"
            )
        return shown, made, "\n".join(report)

    gr.Markdown(
        f"Protects photos against personalization with **{model}** (at most {protector.budget:g} of 255 grey levels). "
        "The small weights that ship with the project defend only against the small models beside them."
    )
    files = sessions.files("Photos to protect", "protect-files")
    button = gr.Button("Protect", variant="primary", elem_id="protect-button")
    report = gr.Textbox(label="What was done", elem_id="protect-report")
    shown = gr.Gallery(
        label="Clean, protected, amplified difference",
        columns=3,
        format="png",
        elem_id="protect-shown",
    )
    made = gr.File(
        label="Protected photos", file_count="multiple", interactive=False, elem_id="protect-made"
    )
    button.click(protect, files, [shown, made, report], concurrency_id="models")


def _rgb(levels: Tensor) -> np.ndarray:
    return levels.permute(1, 2, 0).numpy()

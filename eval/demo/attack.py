"""Tab Attack: what an attacker's model learns from clean and from protected photos."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import torch
from torch import Tensor

from eval.demo.background import in_steps
from eval.demo.image_files import save_full_size
from eval.demo.protect import protect_rgb
from eval.demo.sessions import Sessions
from eval.demo.tab import Given, Tab
from eval.metrics.identity import mean_embedding, mean_similarity
from images.io import to_uint8, without_metadata
from images.photo import Photo
from images.transforms import RGBImage
from images.transforms.geometry import cover_crop
from models.faces.backends import load_faces
from rid.protect.protector import Protector

if TYPE_CHECKING:
    from eval.attacks.personalization import LoraTextualInversionConfig

NAME = "Attack"

PERSON = [f"person-{number}.png" for number in range(1, 5)]
EXAMPLES = {"Example: four portraits of a drawn person": ("Attack", PERSON)}

STEPS = 150
SAMPLES = 4
COLUMNS = ["photos given to the attacker", "likeness of the images it makes", "with a face"]
ARMS = ("clean", "protected")


def add(model: str, attacker: str, faces: str, sessions: Sessions) -> None:
    """Add the components of the tab.

    Args:
        model: RID generator: a folder or Hub id.
        attacker: Pipeline that the attacker teaches the person: a folder or Hub id.
        faces: Face detector and embedder.
        sessions: Visitors' files.

    Raises:
        FileNotFoundError: If a model is missing.
        ValueError: If one is of another kind.
    """
    from eval.attacks.personalization import LoraTextualInversion

    protector = Protector.from_pretrained(model)
    backend = load_faces(faces)
    attack_model = LoraTextualInversion(recipe(attacker))
    _ = attack_model.pipeline  # a missing one is told now

    def attack(given: Given) -> Iterator[tuple[Any, ...]]:
        """Attack clean and protected photos: table, and a gallery of each."""
        rows: list[list[str]] = []
        galleries: list[list[tuple[str, str]]] = [[], []]
        clean = [without_metadata(photo) for _, photo in given.photos]
        images = {
            "clean": [photo.rgb for photo in clean],
            "protected": [protect_rgb(protector, photo) for photo in clean],
        }
        side = attack_model.resolution
        known = backend(_stacked(images["clean"], side))
        center = mean_embedding(known) if known.detected.any() else None
        for place, arm in enumerate(ARMS):
            work = partial(attack_model, _stacked(images[arm], side))
            steps = in_steps(work)
            while True:
                try:
                    done = next(steps)
                except StopIteration as ended:
                    generated: Tensor = ended.value
                    break
                share = (place + min(1.0, done / STEPS)) / len(ARMS)
                given.tell(share, f"the attacker learns from the {arm} photos")
                yield rows, *galleries
            found = backend(generated)
            count = int(found.detected.sum())
            alike = "no face in the photos to compare with"
            if center is not None:
                alike = f"{mean_similarity(found, center):.2f}"
            rows.append([arm, alike, f"{count} of {len(generated)}"])
            for number, image in enumerate(_arrays(generated), start=1):
                file = given.file(place, f"{arm}-made-{number}.png")
                galleries[place].append(
                    (save_full_size(Photo(image), file), f"{arm}: made {number}")
                )
            yield rows, *galleries
        given.done = ""
        given.report.append(f"{len(given.photos)} photos attacked, clean and protected")
        yield rows, *galleries

    # Lay out the tab.
    gr.Markdown(
        f"Photos of **one** person are given to an attacker twice: as they are, and protected with "
        f"**{model}**. Both times the attacker teaches **{attacker}** the person, by {STEPS} steps "
        f"of LoRA and textual inversion, and has it draw {SAMPLES} portraits. Likeness is the mean "
        "cosine to the person's photos, 0 where no face is found; lower is better protection. One "
        "short attack on one person proves nothing: `python -m eval personalize` measures it over "
        "people. The small pipeline knows drawn portraits only."
    )
    tab = Tab(sessions, "attack", "Photos of one person", {"Attack": attack}, EXAMPLES)
    table = gr.Dataframe(headers=COLUMNS, datatype="str", interactive=False, elem_id="attack-table")
    with gr.Row():
        shown = []
        for arm in ARMS:
            label = f"Made from the {arm} photos"
            gallery = gr.Gallery(label=label, columns=2, format="png", elem_id=f"attack-{arm}")
            shown.append(gallery)
    tab.connect(table, *shown)


def recipe(attacker: str) -> LoraTextualInversionConfig:
    """Recipe of the attack, short enough to wait for."""
    from eval.attacks.personalization import LoraTextualInversionConfig

    return LoraTextualInversionConfig(
        model=attacker,
        initializer="person",
        lr=6e-3,
        steps=STEPS,
        batch_size=4,
        class_images=16,
        class_steps=10,
        sample_steps=15,
        guidance=3.0,
        samples=SAMPLES,
    )


def _stacked(images: list[RGBImage], side: int) -> Tensor:
    """Crop images to squares, (N, 3, S, S) in [0, 1]."""
    return torch.stack([Photo(cover_crop(rgb, side, side)).tensor() for rgb in images])


def _arrays(images: Tensor) -> list[RGBImage]:
    """Convert (N, 3, S, S) in [0, 1] to arrays (S, S, 3)."""
    return list(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())

"""Quality of the shipped IP-Adapter, measured on evaluation identities."""

from __future__ import annotations

import torch

from eval.attacks.one_photo import IPAdapter
from eval.attacks.single_image import Sampling
from eval.metrics.identity import mean_embedding, similarities
from models.faces.backends import load_faces
from tiny.dataset import PortraitDataset
from tiny.figures import Figure, mean, mean_share
from tiny.identity import EVALUATION_START

SAMPLES = 4
"""Generated images of each person."""

REFERENCES = 8
"""Other images of each person, for the identity score."""


@torch.no_grad()
def adapter_quality(
    pipeline: str, adapter: str, faces: str, people: int = 48
) -> dict[str, Figure | dict[str, Figure]]:
    """Measure how well one photo as a prompt gives the person.

    Args:
        pipeline: Folder of the pipeline.
        adapter: Folder of the adapter.
        faces: Folder of the face network.
        people: Number of evaluation identities.

    Returns:
        Identity scores (an image without a face counts as 0) of images generated from a person's
        photo: to the person, to the next person, and without the photo; and the share with a face.
    """
    network = load_faces(faces)
    portraits = PortraitDataset(EVALUATION_START, people, 1 + REFERENCES)
    images = [portraits.images_of(EVALUATION_START + number) for number in range(people)]
    centers = [mean_embedding(network(of_person[1:])) for of_person in images]
    sampling = Sampling(samples=SAMPLES, steps=25, guidance=3.0)
    attack = IPAdapter(pipeline, adapter, prompts=["photo of a person"], sampling=sampling)
    scores: dict[str, list[float]] = {"the person": [], "the next person": [], "no photo": []}
    seen = []
    for number, of_person in enumerate(images):
        generated = network(attack(of_person[:1]))
        seen.append(float(generated.detected.double().mean()))
        for name, center in (
            ("the person", centers[number]),
            ("the next person", centers[(number + 1) % people]),
        ):
            scores[name].append(float(similarities(generated, center).sum()) / SAMPLES)
    # Without the photo all people get the same images.
    attack.pipeline.set_ip_adapter_scale(0.0)
    generated = network(attack(images[0][:1]))
    for center in centers:
        scores["no photo"].append(float(similarities(generated, center).sum()) / SAMPLES)
    return {
        "identity_score": {name: mean(values, "people") for name, values in scores.items()},
        "face_share": mean_share(seen, "people", f"{SAMPLES} images"),
    }

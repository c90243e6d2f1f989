"""Quality of the shipped IP-Adapter, measured on evaluation identities."""

from __future__ import annotations

import torch

from eval.attacks.one_photo import IPAdapter
from eval.attacks.single_image import Sampling
from eval.metrics.identity import mean_embedding, mean_similarity
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
    generated = [network(attack(of_person[:1])) for of_person in images]
    # Without the photo all people get the same images.
    attack.pipeline.set_ip_adapter_scale(0.0)
    without = network(attack(images[0][:1]))
    compared = {
        "the person": zip(generated, centers, strict=True),
        "the next person": zip(generated, centers[1:] + centers[:1], strict=True),
        "no photo": zip([without] * people, centers, strict=True),
    }
    scores = {name: [mean_similarity(*pair) for pair in pairs] for name, pairs in compared.items()}
    seen = [float(faces_of.detected.double().mean()) for faces_of in generated]
    return {
        "identity_score": {name: mean(values, "people") for name, values in scores.items()},
        "face_share": mean_share(seen, "people", f"{SAMPLES} images"),
    }

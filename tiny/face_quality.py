"""Quality of the shipped face network, measured on evaluation identities."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from checkpoints.folders import model_folder
from engine.statistics import bootstrap_interval
from models.faces.backends import load_face_net
from tiny.faceless import FACELESS, faceless
from tiny.faces import FaceImages
from tiny.figures import RESAMPLES, Figure, mean, mean_between, mean_share, share
from tiny.identity import EVALUATION_START

PEOPLE = 100
"""People of the verification."""
PICTURES = 8
"""Portraits of each."""
WITHOUT_A_FACE = 400
"""Images without a face, an equal share of each kind; no person is in two of them."""


@torch.no_grad()
def face_quality(faces: str) -> dict[str, Figure | dict[str, Figure]]:
    """Measure a face network: verification AUC, misses, and false alarms by kind of image.

    Misses are on clean portraits, false alarms on the kinds of :data:`tiny.faceless.FACELESS`.
    """
    # Verification on portraits of evaluation identities.
    network = load_face_net(model_folder(faces))
    portraits = FaceImages(EVALUATION_START, PEOPLE, PICTURES).images.float() / 255
    results = [network(part) for part in portraits.split(100)]
    embeddings = torch.cat([result.embeddings for result in results])
    detected = torch.cat([result.detected for result in results]).view(PEOPLE, PICTURES)
    cosine = (embeddings @ embeddings.T).view(PEOPLE, PICTURES, PEOPLE, PICTURES)
    between = cosine.transpose(1, 2).reshape(PEOPLE, PEOPLE, -1).numpy()
    rows, columns = np.triu_indices(PICTURES, 1)
    own = np.arange(PEOPLE)
    within = between[own, own].reshape(PEOPLE, PICTURES, PICTURES)[:, rows, columns]
    # False alarms on images without a face.
    torch.manual_seed(0)
    scenes = FaceImages(EVALUATION_START, WITHOUT_A_FACE, 1, empty=True).images.float() / 255
    people = FaceImages(EVALUATION_START, WITHOUT_A_FACE, 1).images.float() / 255
    alarms = network(faceless(people, scenes)).detected.tensor_split(len(FACELESS))
    return {
        "auc": verification_auc(within, between),
        "same_person_cosine": mean(within.mean(axis=1), "people"),
        "other_person_cosine": mean_between(between.mean(axis=2), "people"),
        "misses": mean_share(1 - detected.double().mean(dim=1), "people", f"{PICTURES} images"),
        "false_alarms": {
            kind: share(part, "images") for kind, part in zip(FACELESS, alarms, strict=True)
        },
        "threshold": Figure(network.threshold),
    }


def verification_auc(within: NDArray[np.float32], between: NDArray[np.float32]) -> Figure:
    """Compute the AUC of face verification, with its bootstrap interval over people.

    Args:
        within: (P, pairs) cosines of two images of a person.
        between: (P, P, pairs) cosines of an image of one person and one of another; the diagonal is
            left out.
    """

    def auc(people: NDArray[np.int64]) -> float:
        different = people[:, None] != people
        impostor = np.sort(between[np.ix_(people, people)][different], axis=None)
        return float(np.searchsorted(impostor, within[people].ravel()).mean() / len(impostor))

    count = len(within)
    interval = bootstrap_interval(auc, count, resamples=RESAMPLES, seed=0)
    return Figure(auc(np.arange(count)), f"{count} people x {PICTURES} images", interval)

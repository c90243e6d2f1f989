"""Quality of the shipped face network, measured on evaluation identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from checkpoints.folders import model_folder
from models.faces.backends import load_face_net
from tiny.faceless import FACELESS, faceless
from tiny.faces import FaceImages
from tiny.identity import EVALUATION_START


@torch.no_grad()
def face_quality(faces: str) -> dict[str, Any]:
    """Measure a face network: verification AUC, misses, and false alarms by kind of image.

    Misses are on clean portraits, false alarms on the kinds of :data:`tiny.faceless.FACELESS`.
    """
    # Verification on portraits of evaluation identities.
    network = load_face_net(model_folder(faces))
    people = FaceImages(EVALUATION_START, 100, 8)
    images = people.images.float() / 255
    results = [network(part) for part in images.split(100)]
    embeddings = torch.cat([result.embeddings for result in results])
    detected = torch.cat([result.detected for result in results])
    cosine = embeddings @ embeddings.T
    same = people.labels.view(-1, 1) == people.labels
    pairs = torch.ones_like(same).triu(1)
    genuine = cosine[same & pairs].numpy()
    impostor = np.sort(cosine[~same & pairs].numpy())
    # False alarms on images without a face.
    torch.manual_seed(0)
    scenes = FaceImages(EVALUATION_START, 400, 1, empty=True).images.float() / 255
    detections = network(faceless(images[::2], scenes)).detected.float()
    false_alarms = {}
    for kind, part in zip(FACELESS, detections.tensor_split(len(FACELESS)), strict=True):
        false_alarms[kind] = float(part.mean())
    return {
        "auc": float(np.searchsorted(impostor, genuine).mean() / len(impostor)),
        "same_person_cosine": float(genuine.mean()),
        "other_person_cosine": float(impostor.mean()),
        "misses": float(1 - detected.float().mean()),
        "false_alarms": false_alarms,
        "threshold": network.threshold,
    }

"""Recipe of the copy-detection network for photographs."""

from __future__ import annotations

import torch
from lightning import seed_everything

from checkpoints.registry import registry
from datamodules.datamodule import ImageDataModule
from images.inputs import find_images
from models.lite_net import open_lite_net
from models.photo_copy_net import PhotoCopyNet
from tiny.copies import CopyTask, fit_projection
from tiny.fitting import Place, fit, record
from tiny.photo_crops import OneCropOfEach, PhotoCrops
from tiny.photo_edits import random_copies

SEED = 15

TRAINING_SIDE_PX = 160
"""Side of the views in training, a third of the work of the network's own 224."""

VALIDATION_INTERVAL = 5
"""Every fifth photo is for validation."""

MIN_PHOTOS = 40
"""Least number of photos: a training batch shows 32 different ones."""

FROZEN_STAGES = 3
"""First stages of the network, which keep their weights."""


class PhotoCopyTask(CopyTask):
    """Train with the random edits of photographs."""

    edit = staticmethod(random_copies)


def train_photo_copies(
    place: Place, name: str, steps: int | None = None, crops: int = 60, copies: int = 1500
) -> None:
    """Train the copy-detection network for photographs, from EfficientNet-Lite0's weights.

    The linear layer starts as Fisher's discriminant; then SSCD's two losses (arXiv 2202.10261,
    section 4) train it and the later stages. Batch normalization keeps its statistics.

    Args:
        place: Folders, with photos in ``data``.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        crops: Crops of each photo.
        copies: Images that the linear layer starts from.

    Raises:
        ValueError: If there are too few photos.
        FileNotFoundError: If the package with the first weights is not installed.
    """
    photos = find_images([place.data] if place.data else []).complete()
    if len(photos) < MIN_PHOTOS:
        msg = f"{name} needs --data with at least {MIN_PHOTOS} photos, got {len(photos)}"
        raise ValueError(msg)
    seed_everything(SEED, verbose=False)
    total = steps or 300
    held_out = photos[VALIDATION_INTERVAL - 1 :: VALIDATION_INTERVAL]
    training = [photo for photo in photos if photo not in set(held_out)]
    train = PhotoCrops(training, crops, seed=SEED)
    network = PhotoCopyNet(TRAINING_SIDE_PX).to(memory_format=torch.channels_last)
    network.trunk = open_lite_net(registry()["efficientnet-lite0"])
    # The layer's start.
    fit_projection(network, train, copies, seed=SEED, edit=random_copies)
    # Training.
    network.trunk.conv_stem.requires_grad_(False)
    network.trunk.blocks[:FROZEN_STAGES].requires_grad_(False)
    unseen = PhotoCrops(held_out, crops, seed=SEED + 1)
    data = ImageDataModule(OneCropOfEach(train), OneCropOfEach(unseen), batch_size=32)
    task = PhotoCopyTask(network, total, lr=3e-4)
    seconds = fit(task, data, total, place.work / name)
    # The network at its own side.
    whole = PhotoCopyNet()
    whole.load_state_dict(network.state_dict())
    # Descriptors have unit length whatever the layer's scale; float16 has no large values.
    largest = whole.project.weight.abs().max()
    for values in (whole.project.weight, whole.project.bias):
        values.data /= largest
    whole.eval().half().save_pretrained(place.shipped / name)
    note = f"{len(training)} photos, {crops} crops of each; {len(held_out)} others for validation"
    record(place.shipped / name, SEED, total, 32, seconds, note)

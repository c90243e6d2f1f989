"""Recipes of the networks for faces, attributes, copies and keys."""

from __future__ import annotations

import time

import torch
from lightning import seed_everything

from datamodules.datamodule import ImageDataModule
from models.copy_net import CopyNet
from models.faces.face_net import FaceNet
from models.image_text_net import ImageTextNet
from tiny.copies import CopyPictures, CopyTask, fit_projection
from tiny.faces import (
    FaceImages,
    FaceTask,
    PersonGroups,
    calibrated_threshold,
)
from tiny.fitting import Place, fit, record
from tiny.index import build_drawn_index
from tiny.probe import AttributeProbe, ProbeTask
from tiny.reading import KeyedPortraits, ReadingTask, vocabulary
from tiny.train_sources import VALIDATION_FIRST


def train_faces(
    place: Place, name: str, steps: int | None = None, people: int = 3000, pictures: int = 10
) -> None:
    """Train the face detector and embedder.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of identities to train on.
        pictures: Images of each identity.
    """
    seed_everything(3, verbose=False)
    total = steps or 1500
    # Train. The memory format is a quarter faster on a CPU.
    faces = FaceImages(0, people, pictures)
    scenes = FaceImages(people, 1500, 1, empty=True).images
    network = FaceNet().to(memory_format=torch.channels_last)
    data = ImageDataModule(PersonGroups(faces, 4), batch_size=16)
    seconds = fit(FaceTask(network, scenes, total), data, total, place.work / name)
    # Calibrate the detection threshold.
    validation = FaceImages(VALIDATION_FIRST, 250, 4)
    calibrated = FaceNet(threshold=calibrated_threshold(network.eval(), validation))
    calibrated.load_state_dict(network.state_dict())
    calibrated.half().save_pretrained(place.shipped / name)
    note = f"{people} identities x {pictures} images, half as many images without a face"
    record(place.shipped / name, 3, total, 64, seconds, note)


def train_probe(
    place: Place, name: str, steps: int | None = None, people: int = 5000, pictures: int = 4
) -> None:
    """Train the attribute probe, which measures the pipelines and is not shipped.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of identities to train on.
        pictures: Images of each identity.
    """
    seed_everything(4, verbose=False)
    total = steps or 800
    probe = AttributeProbe()
    data = ImageDataModule(FaceImages(0, people, pictures), batch_size=64)
    seconds = fit(ProbeTask(probe, total), data, total, place.work / name)
    (place.work / name).mkdir(parents=True, exist_ok=True)
    torch.save(probe.state_dict(), place.work / name / "probe.pt")
    record(place.work / name, 4, total, 64, seconds, f"{people} identities x {pictures} images")


def train_copies(
    place: Place,
    name: str,
    steps: int | None = None,
    collages: int = 4000,
    portraits: int = 800,
    windows: int = 800,
    seed: int = 12,
) -> None:
    """Train the copy-detection network.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        collages: Number of collages to train on.
        portraits: Number of portraits to train on.
        windows: Number of crops of photographs to train on.
        seed: Seed of weights, batches and edits.
    """
    seed_everything(seed, verbose=False)
    total = steps or 1800
    # Train.
    train = CopyPictures(0, collages, portraits, windows)
    held_out = CopyPictures(VALIDATION_FIRST, 100, 28, 0)
    network = CopyNet().to(memory_format=torch.channels_last)
    data = ImageDataModule(train, held_out, batch_size=64)
    seconds = fit(CopyTask(network, total), data, total, place.work / name)
    # Fit the projection to the weights as they are shipped, in float16.
    part = CopyPictures(0, collages * 3 // 8, portraits * 3 // 8, windows * 3 // 8)
    network.standardise = True
    fit_projection(network.half().float(), part)
    fitted = CopyNet(standardise=True)
    fitted.load_state_dict(network.state_dict())
    fitted.eval().half().save_pretrained(place.shipped / name)
    note = (
        f"{collages} collages, {portraits} portraits, {windows} crops of scikit-image's and "
        "scikit-learn's photographs without people; then the projection in closed form on three "
        "eighths of them"
    )
    record(place.shipped / name, seed, total, 64, seconds, note)


def train_index(
    place: Place, name: str, steps: int | None = None, training: int = 3000, entries: int = 2000
) -> None:
    """Build the index of collages.

    Args:
        place: Folders.
        name: Name of the index.
        steps: Ignored; an index has no optimizer steps.
        training: Number of collages to train on.
        entries: Number of entries.
    """
    start = time.monotonic()
    build_drawn_index(place.shipped / name, str(place.shipped / "copies"), training, entries)
    note = f"trained on {training} collages, filled with {entries} others"
    record(place.shipped / name, 0, 0, training, time.monotonic() - start, note)


def train_embedder(place: Place, name: str, steps: int | None = None, people: int = 400) -> None:
    """Train the image-text embedder that reads keys.

    Args:
        place: Folders.
        name: Name of the model.
        steps: Optimizer steps; None takes the recipe's.
        people: Number of portraits to train on.
    """
    seed_everything(13, verbose=False)
    total = steps or 700
    train = KeyedPortraits(50_000, people, 128, seed=13)
    held_out = KeyedPortraits(VALIDATION_FIRST, 2, 128, seed=14, keyed=1)
    network = ImageTextNet(vocabulary(train.captions)).to(memory_format=torch.channels_last)
    task = ReadingTask(network, train.captions, total)
    data = ImageDataModule(train, held_out, batch_size=16)
    seconds = fit(task, data, total, place.work / name)
    network.eval().half().save_pretrained(place.shipped / name)
    note = f"{people} portraits of 128 pixels, four of five with a key"
    record(place.shipped / name, 13, total, 16, seconds, note)

"""Recipes of networks that recognize."""

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
    AttributeProbe,
    FacePictures,
    FaceTask,
    ProbeTask,
    SamePeople,
    calibrated_threshold,
)
from tiny.fitting import Place, fit, record
from tiny.index import build_drawn_index
from tiny.reading import KeyedPortraits, ReadingTask, vocabulary
from tiny.train_sources import VALIDATION_FIRST


def train_faces(
    place: Place, name: str, steps: int | None = None, people: int = 3000, pictures: int = 10
) -> None:
    """The face detector and embedder."""
    seed_everything(3, verbose=False)
    total = steps or 1500
    data = FacePictures(0, people, pictures)
    scenes = FacePictures(people, 1500, 1, empty=True).images
    network = FaceNet().to(memory_format=torch.channels_last)  # a quarter faster on a CPU
    seconds = fit(
        FaceTask(network, scenes, total),
        ImageDataModule(SamePeople(data, 4), batch_size=16),
        total,
        place.work / name,
    )
    calibrated = FaceNet(
        threshold=calibrated_threshold(network.eval(), FacePictures(VALIDATION_FIRST, 250, 4))
    )
    calibrated.load_state_dict(network.state_dict())
    calibrated.half().save_pretrained(place.shipped / name)
    record(
        place.shipped / name,
        3,
        total,
        64,
        seconds,
        f"{people} identities x {pictures} pictures, half as many pictures without a face",
    )


def train_probe(
    place: Place, name: str, steps: int | None = None, people: int = 5000, pictures: int = 4
) -> None:
    """The attribute probe; used to grade the pipelines, not shipped."""
    seed_everything(4, verbose=False)
    total = steps or 800
    probe = AttributeProbe()
    seconds = fit(
        ProbeTask(probe, total),
        ImageDataModule(FacePictures(0, people, pictures), batch_size=64),
        total,
        place.work / name,
    )
    (place.work / name).mkdir(parents=True, exist_ok=True)
    torch.save(probe.state_dict(), place.work / name / "probe.pt")
    record(place.work / name, 4, total, 64, seconds, f"{people} identities x {pictures} pictures")


def train_copies(
    place: Place,
    name: str,
    steps: int | None = None,
    collages: int = 4000,
    portraits: int = 800,
    windows: int = 800,
) -> None:
    """The copy-detection network."""
    seed_everything(12, verbose=False)
    total = steps or 1800
    data, held_out = (
        CopyPictures(0, collages, portraits, windows),
        CopyPictures(VALIDATION_FIRST, 100, 28, 0),
    )
    network = CopyNet().to(memory_format=torch.channels_last)
    seconds = fit(
        CopyTask(network, total),
        ImageDataModule(data, held_out, batch_size=64),
        total,
        place.work / name,
    )
    part = CopyPictures(0, collages * 3 // 8, portraits * 3 // 8, windows * 3 // 8)
    fit_projection(network.half().float(), part)  # as the weights are shipped
    trained = CopyNet(standardise=True)
    trained.load_state_dict(network.state_dict())
    trained.eval().half().save_pretrained(place.shipped / name)
    note = f"{collages} collages, {portraits} portraits, {windows} windows of scikit-image's and scikit-learn's photographs without people"
    note += "; then the linear layer in closed form on three eighths of them"
    record(place.shipped / name, 12, total, 64, seconds, note)


def train_index(
    place: Place, name: str, steps: int | None = None, training: int = 3000, entries: int = 2000
) -> None:
    """The index of drawn pictures; it has no steps."""
    start = time.monotonic()
    build_drawn_index(place.shipped / name, str(place.shipped / "copies"), training, entries)
    record(
        place.shipped / name,
        0,
        0,
        training,
        time.monotonic() - start,
        f"{training} collages train it, {entries} others fill it",
    )


def train_embedder(place: Place, name: str, steps: int | None = None, people: int = 400) -> None:
    """The image-text embedder that reads keys."""
    seed_everything(13, verbose=False)
    total = steps or 700
    data, held_out = (
        KeyedPortraits(50_000, people, 128, seed=13),
        KeyedPortraits(VALIDATION_FIRST, 2, 128, seed=14, keyed=1),
    )
    network = ImageTextNet(vocabulary(data.captions)).to(memory_format=torch.channels_last)
    task = ReadingTask(network, data.captions, total)
    seconds = fit(task, ImageDataModule(data, held_out, batch_size=16), total, place.work / name)
    network.eval().half().save_pretrained(place.shipped / name)
    record(
        place.shipped / name,
        13,
        total,
        16,
        seconds,
        f"{people} portraits of 128 pixels, four of five with a key set into them",
    )

"""Callbacks that do not fit a training are refused before it starts."""

import pytest
import torch
from torch.utils.data import TensorDataset

from eval.attacks.personalization import LoraTextualInversion, LoraTextualInversionConfig
from eval.attacks.purification import DiffPure, Jpeg
from eval.callbacks import (
    PersonalizationCallback,
    PictureGrid,
    PurificationCallback,
    RAGCallback,
    RetrievalCallback,
)
from models.faces.face_net import FaceNet
from tests.eval.small_training import Shifts, train
from tiny.dataset import PortraitDataset, PortraitPeople


def test_a_module_that_cannot_be_evaluated_is_told_what_it_lacks():
    class Plain(Shifts):
        protect = embed = None

    callback = RetrievalCallback(
        PortraitDataset(1_000_000, 2, 1), {"jpeg": Jpeg(75)}, every_n_steps=1
    )
    with pytest.raises(
        ValueError,
        match=r"RetrievalCallback needs a module with a method embed, which Plain does not have; "
        r"it fits .*tiny fit",
    ):
        train(callback, Plain())


PEOPLE_OF_64 = PortraitPeople(1_000_000, 1, train_pictures=1, reference_pictures=1)


class Fixed(Shifts):
    """Takes images of 32 pixels only."""

    def protect(self, images):
        return images + torch.zeros(1, 3, 32, 32)

    def embed(self, images):
        return images.reshape(len(images), -1, 5)

    def embed_texts(self, texts):
        return torch.ones(len(texts), 7)

    def training_step(self, batch, _):
        raise AssertionError("refused at start, before the first step")


def missing(tmp_path):
    return PurificationCallback(PEOPLE_OF_64, {"diffpure": DiffPure(str(tmp_path / "none"))})


@pytest.mark.parametrize(
    ("make", "module", "words"),
    [
        (lambda folder: PictureGrid(), Shifts, None),
        (
            lambda folder: PurificationCallback(PEOPLE_OF_64, {"jpeg": Jpeg(75)}),
            Fixed,
            "PurificationCallback does not fit this training: .*size",
        ),
        (missing, Shifts, "none"),
        (
            lambda folder: RetrievalCallback(
                TensorDataset(torch.ones(4, 3, 8, 8)), {"jpeg": Jpeg(75)}
            ),
            Shifts,
            "RetrievalCallback does not fit",
        ),
        (
            lambda folder: RetrievalCallback(PortraitDataset(0, 4, 1), {"jpeg": Jpeg(75)}),
            Fixed,
            "RetrievalCallback does not fit",
        ),
        (
            lambda folder: RetrievalCallback(
                PortraitDataset(0, 4, 1), {"jpeg": Jpeg(75)}, factory="IVF16,Flat"
            ),
            Shifts,
            "IVF16,Flat cannot be trained on 4 images",
        ),
        (
            lambda folder: RAGCallback(str(folder / "record.json"), str(folder)),
            Fixed,
            "record.json",
        ),
        (
            lambda folder: RAGCallback(str(folder / "record.json"), str(folder)),
            Shifts,
            "RAGCallback needs a module with a method embed_texts",
        ),
        (lambda folder: personalization(folder), Shifts, "no model at|not a folder|none"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(make, module, words, tmp_path):
    if words is None:
        train(make(tmp_path), module())
        return
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        train(make(tmp_path), module())


def personalization(folder):
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(folder / "faces")
    attack = LoraTextualInversion(
        LoraTextualInversionConfig(model=str(folder / "none"), initializer="person")
    )
    return PersonalizationCallback(PEOPLE_OF_64, attack, str(folder / "faces"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: RetrievalCallback(
                PortraitDataset(0, 1, 1), {"jpeg": Jpeg(75)}, every_n_steps=0
            ),
            "every_n_steps must be at least 1, got 0",
        ),
        (lambda: RetrievalCallback(PortraitDataset(0, 1, 1), {}), "edits is empty"),
        (lambda: PurificationCallback(PortraitPeople(0, 1), {}), "purifications is empty"),
        (lambda: PurificationCallback(PortraitDataset(0, 1, 1), {"jpeg": Jpeg(75)}), "person"),
    ],
)
def test_bad_settings_are_told(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()

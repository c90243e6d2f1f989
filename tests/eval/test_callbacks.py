"""Evaluation during training: logged values, and an undisturbed training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from lightning import Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from eval.attacks.purification import GaussianNoise, Jpeg
from eval.callbacks import (
    PersonalizationCallback,
    PurificationCallback,
    RetrievalCallback,
)
from eval.callbacks.pictures import LABEL_PX, image_grid
from models.faces.face_net import FaceNet, Faces
from rid.training.cli import main
from tests.eval.small_training import Shifts, train
from tiny.dataset import PortraitDataset, PortraitPeople
from tiny.faces import FaceImages, FaceTask, PersonGroups

ROOT = Path(__file__).parents[2]


PEOPLE = {
    "class_path": "tiny.dataset.PortraitPeople",
    "init_args": {"first": 1_000_000, "identities": 2, "train_pictures": 2},
}


@pytest.fixture
def config(pipelines, tmp_path):
    """Training of four steps of two accumulated batches, with or without evaluation."""
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(tmp_path / "faces")
    small = {
        "steps": 2,
        "samples": 2,
        "class_images": 2,
        "class_steps": 2,
        "sample_steps": 2,
        "rank": 2,
    }
    attack = {
        "class_path": "eval.attacks.personalization.LoraTextualInversion",
        "init_args": {"config": small | {"model": pipelines[0], "initializer": "person"}},
    }
    purifications = {
        "jpeg": {"class_path": "eval.attacks.purification.Jpeg", "init_args": {"quality": 75}},
        "noise": {"class_path": "eval.attacks.purification.GaussianNoise"},
    }
    evaluating = [
        {
            "class_path": "eval.callbacks.PersonalizationCallback",
            "init_args": {
                "people": PEOPLE,
                "attack": attack,
                "faces": str(tmp_path / "faces"),
                "every_n_steps": 2,
            },
        },
        {
            "class_path": "eval.callbacks.PurificationCallback",
            "init_args": {"people": PEOPLE, "purifications": purifications, "every_n_steps": 2},
        },
    ]

    def write(name, evaluate, **trainer):
        portraits = {
            "class_path": "tiny.dataset.PortraitDataset",
            "init_args": {"first": 0, "identities": 8, "pictures": 2},
        }
        settings = {
            "seed_everything": 7,
            "trainer": {
                "accelerator": "cpu",
                "devices": 1,
                "max_steps": 4,
                "accumulate_grad_batches": 2,
                "default_root_dir": str(tmp_path / name),
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "callbacks": evaluating if evaluate else [],
            }
            | trainer,
            "model": {
                "generator": {
                    "class_path": "rid.generator.PerturbationGenerator",
                    "init_args": {
                        "image_size": 64,
                        "patch_size": 16,
                        "width": 16,
                        "depth": 1,
                        "heads": 2,
                    },
                },
                "surrogates": pipelines[:1],
                "warmup_steps": 0,
                "lr": 0.01,
            },
            "data": {
                "class_path": "datamodules.datamodule.ImageDataModule",
                "init_args": {"batch_size": 2, "train": portraits},
            },
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return str(path)

    return write


def test_a_run_with_evaluations_ends_in_the_same_weights_as_one_without(config):
    plain = main(["fit", "-c", config("plain", evaluate=False)])
    state = torch.get_rng_state()
    watched = main(["fit", "-c", config("watched", evaluate=True)])
    assert torch.equal(torch.get_rng_state(), state), "the random state after training"
    assert watched.model.generator.training
    for (name, a), b in zip(
        plain.model.state_dict().items(), watched.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name

    events = EventAccumulator(watched.trainer.log_dir)
    events.Reload()
    logged = set(events.Tags()["scalars"])
    arms = {
        f"personalization/{arm}_{metric}"
        for arm in ("clean", "protected")
        for metric in ("ism", "ism_all", "fdfr")
    }
    left = {
        f"purification/{method}/{key}"
        for method in ("jpeg", "noise")
        for key in ("kept", "denoising_clean", "denoising_protected")
    }
    assert arms | left <= logged
    steps = [event.step for event in events.Scalars("personalization/protected_fdfr")]
    assert steps == [2, 4], "once for two accumulated batches"
    assert set(events.Tags()["images"]) == {"personalization", "purification"}
    fdfr = {
        arm: events.Scalars(f"personalization/{arm}_fdfr")[0].value
        for arm in ("clean", "protected")
    }
    assert fdfr == {"clean": 0.0, "protected": 0.0}, "a threshold of 0 finds a face everywhere"


@pytest.mark.slow
def test_people_are_shared_out_over_processes(config, tmp_path):
    path = config(
        "two", evaluate=True, devices=2, strategy="ddp", accumulate_grad_batches=1, max_steps=2
    )
    subprocess.run(
        [sys.executable, "-m", "rid", "fit", "-c", path],
        cwd=ROOT,
        check=True,
        timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    main(["fit", "-c", config("one", evaluate=True, accumulate_grad_batches=2, max_steps=2)])
    values = []
    for name in ("one", "two"):
        events = EventAccumulator(str(next((tmp_path / name).rglob("events.out.*")).parent))
        events.Reload()
        values.append(
            [
                events.Scalars(f"purification/jpeg/{key}")[-1].value
                for key in ("kept", "denoising_clean")
            ]
        )
    assert values[0][1] == pytest.approx(values[1][1], rel=1e-4), (
        "clean pictures of the same two people"
    )
    assert values[1][0] > 0


class OneStrangerOneLikeness:
    """Attack that generates a stranger for the first person, and the second one's likeness."""

    def __init__(self):
        self.calls = 0

    def files(self):
        return []

    def to(self, device):
        return self

    def __call__(self, published):
        self.calls += 1
        return torch.full((2, 3, 64, 64), float(self.calls % 2 == 0))


def stranger_or_likeness(images):
    """Black images show a stranger opposite to everybody else, who all look alike."""
    count = len(images)
    alike = torch.where(images.mean(dim=(1, 2, 3)) > 0, 1.0, -1.0)
    embeddings = torch.stack([alike, torch.zeros(count)], dim=1)
    return Faces(torch.ones(count) > 0, torch.ones(count), torch.zeros(count, 4), embeddings)


def test_a_persons_score_is_at_least_0_as_in_the_studies():
    people = PortraitPeople(1_000_000, 2, train_pictures=2, reference_pictures=1)
    callback = PersonalizationCallback(people, OneStrangerOneLikeness(), "", every_n_steps=1)
    callback.backend = stranger_or_likeness
    metrics = train(callback, Shifts())
    assert metrics["personalization/protected_ism_all"] == pytest.approx(0.5), "0 and 1"
    assert metrics["personalization/protected_ism"] == pytest.approx(0.0), "-1 and 1, over faces"
    assert metrics["personalization/protected_fdfr"] == 0.0


def test_what_purification_leaves_of_a_perturbation():
    people = PortraitPeople(1_000_000, 1, train_pictures=4, reference_pictures=1)
    callback = PurificationCallback(
        people, {"jpeg": Jpeg(90), "noise": GaussianNoise(0.02)}, every_n_steps=1
    )
    metrics = train(callback, Shifts())
    assert metrics["purification/jpeg/kept"] == pytest.approx(1, abs=0.1), "JPEG keeps brightness"
    assert metrics["purification/noise/kept"] == pytest.approx(1, abs=0.1), (
        "the same noise on either, so that it cancels"
    )
    assert not any("denoising" in name for name in metrics), "the module has no ensemble"


def test_copies_are_found_by_what_the_edit_leaves():
    edits = {"jpeg": Jpeg(90), "buried": GaussianNoise(100.0)}
    callback = RetrievalCallback(
        PortraitDataset(1_000_000, 10, 4), edits, every_n_steps=1, batch_size=16
    )
    metrics = train(callback, Shifts())
    assert metrics["retrieval/jpeg/recall_at_1"] == 1
    assert metrics["retrieval/jpeg/recall_at_1_low"] == pytest.approx(0.025 ** (1 / 40))
    buried = metrics["retrieval/buried/recall_at_1"]
    assert buried < 0.5
    assert metrics["retrieval/buried/recall_at_1_low"] <= buried
    assert metrics["retrieval/buried/recall_at_1_high"] > buried
    assert metrics["retrieval/jpeg/mu_ap"] > metrics["retrieval/buried/mu_ap"]


def test_retrieval_during_the_training_of_an_embedder_changes_nothing():
    weights = []
    for callback in (
        None,
        RetrievalCallback(PortraitDataset(1_000_000, 4, 2), {"jpeg": Jpeg(75)}, every_n_steps=1),
    ):
        torch.manual_seed(0)
        task = FaceTask(
            FaceNet(channels=(4, 4, 4, 4), embedding=8),
            FaceImages(100, 4, 1, empty=True).images,
            steps=4,
        )
        data = DataLoader(PersonGroups(FaceImages(0, 8, 4), 2), batch_size=4)
        torch.manual_seed(1)
        Trainer(
            accelerator="cpu",
            max_steps=4,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            callbacks=[callback] if callback else [],
        ).fit(task, data)
        weights.append(task.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(weights[0].values(), weights[1].values(), strict=True)
    )


def test_the_grid_shows_clean_protected_and_amplified_difference():
    clean = torch.full((2, 3, 8, 8), 0.5)
    grid = image_grid(clean, clean + 0.02, gain=10.0)
    row = LABEL_PX + 8 + 4  # a name, then images with a border of two pixels
    assert grid.shape[:2] == (3, 3 * row)
    for number, level in enumerate((0.5, 0.52, 0.7)):
        name = grid[:, number * row : number * row + LABEL_PX]
        assert name.max() > 0.9, "the name of the row"
        middle = grid[:, number * row + LABEL_PX + 5, 5]
        assert torch.allclose(middle, torch.tensor(level), atol=1e-5)

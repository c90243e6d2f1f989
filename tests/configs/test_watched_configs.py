"""Evaluation callbacks of shipped configs run through the real entry points."""

from pathlib import Path

import pytest
import torch
import yaml

from checkpoints.folders import ROOT
from rid.training.cli import main as rid
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from tiny.__main__ import main as door
from tiny.export import export_portraits
from tiny.training import main as tiny

CONFIGS = ROOT / "configs"


def shortened(name, tmp_path, **init_args):
    """Write a shipped config with one optimizer step and every evaluation after it.

    Args:
        name: File of the config.
        tmp_path: Folder to write to.
        init_args: Settings to replace, by class name.
    """
    settings = yaml.safe_load((CONFIGS / name).read_text())
    shorter = {
        "max_steps": 1,
        "val_check_interval": 1,
        "limit_val_batches": 1,
        "num_sanity_val_steps": 0,
        "precision": "32-true",
    }
    settings["trainer"] |= shorter | {
        "default_root_dir": str(tmp_path / "run"),
        "accelerator": "cpu",
        "enable_progress_bar": False,
    }
    settings["trainer"] |= {"enable_model_summary": False, "log_every_n_steps": 1}

    def change(part):
        if isinstance(part, dict):
            kind = str(part.get("class_path", "")).split(".")[-1]
            part.get("init_args", {}).update(init_args.get(kind, {}))
            if "every_n_steps" in part.get("init_args", {}):
                part["init_args"]["every_n_steps"] = 1
            for inner in part.values():
                change(inner)
        elif isinstance(part, list):
            for inner in part:
                change(inner)

    change(settings)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def logged(cli):
    return {name: float(value) for name, value in cli.trainer.callback_metrics.items()}


def test_protection_is_attacked_and_purified_during_training(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    few = {"first": 900100, "identities": 1, "train_pictures": 2, "reference_pictures": 2}
    recipe = {
        "model": "checkpoints/tiny/sd-b",
        "initializer": "person",
        "steps": 1,
        "samples": 1,
        "class_images": 1,
        "class_steps": 1,
    }
    attack = {"config": recipe | {"sample_steps": 1, "rank": 2, "batch_size": 1}}
    portraits = {"first": 0, "identities": 8, "pictures": 1}
    path = shortened(
        "rid/tiny_watched.yaml",
        tmp_path,
        PortraitPeople=few,
        LoraTextualInversion=attack,
        PortraitDataset=portraits,
        ImageDataModule={"batch_size": 2},
        PerturbationGenerator={"width": 32, "depth": 1, "heads": 2},
    )
    values = logged(rid(["fit", "-c", path, "--model.warmup_steps", "0"]))
    assert values["personalization/clean_fdfr"] >= 0
    assert {
        "purification/jpeg/kept",
        "purification/noise/kept",
        "purification/half size/denoising_protected",
    } <= set(values)


def test_copies_are_looked_up_during_training(tmp_path):
    few = {"collages": 4, "portraits": 0, "windows": 0}
    path = shortened(
        "tiny/copies.yaml",
        tmp_path,
        CopyPictures=few,
        CollageDataset={"count": 6},
        ImageDataModule={"batch_size": 2},
        CopyTask={"steps": 2},
    )
    values = logged(tiny(["fit", "-c", path]))
    assert 0 <= values["retrieval/jpeg/recall_at_1"] <= 1
    assert {"retrieval/blur/mu_ap", "retrieval/crop/recall_at_1"} <= set(values)


@pytest.fixture
def planted(tmp_path):
    export_portraits(tmp_path / "world", people=6, pictures=1, size=128, first=0)
    plant(
        tmp_path / "world",
        tmp_path / "sentinels",
        LocalPlanter(),
        PlantConfig(count=2, seed=1),
        None,
    )
    return {
        "record": str(tmp_path / "sentinels" / "record.json"),
        "originals": str(tmp_path / "world"),
    }


def test_sentinels_are_looked_for_during_training(planted, tmp_path):
    few = {"people": 4}
    path = shortened(
        "tiny/embedder.yaml",
        tmp_path,
        KeyedPortraits=few,
        reading_network=few,
        RAGCallback=planted,
        ImageDataModule={"batch_size": 2},
        ReadingTask={"steps": 2},
    )
    assert door(["fit", "-c", path]) == 0
    events = list((tmp_path / "run").rglob("events.out*"))
    assert len(events) == 1
    state = torch.load(next(Path(tmp_path / "run").rglob("*.ckpt")), weights_only=True)
    assert state["global_step"] == 1

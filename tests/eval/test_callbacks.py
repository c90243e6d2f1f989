"""Evaluation during training, as a config would start it."""

import torch
from lightning import Trainer

from datamodules.pictures import PictureDataModule
from eval.attacks.personalization import LoraTextualInversion, LoraTextualInversionConfig
from eval.callbacks import PersonalizationEvaluation, picture_grid
from eval.metrics.face_net import FaceNet
from rid.generator import PerturbationGenerator
from rid.task import RIDTask
from tiny.dataset import PortraitDataset, PortraitPeople


def test_the_attack_runs_on_held_out_people_during_fit(pipelines, tmp_path, monkeypatch):
    FaceNet(channels=(4, 4, 4, 4), embedding=8, threshold=0.0).save_pretrained(tmp_path / "faces")
    config = LoraTextualInversionConfig(
        model=pipelines[0], initializer="person", steps=2, samples=2, class_images=2, class_steps=2, sample_steps=2, rank=2
    )
    people = PortraitPeople(1_000_000, 1, train_pictures=2, reference_pictures=2)
    attack = LoraTextualInversion(config)
    runs, real = [], LoraTextualInversion.__call__
    monkeypatch.setattr(LoraTextualInversion, "__call__", lambda self, images: runs.append(1) or real(self, images))
    callback = PersonalizationEvaluation(people, attack, str(tmp_path / "faces"), every_n_validations=2)
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        max_steps=3,
        val_check_interval=1,
        check_val_every_n_epoch=None,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    task = RIDTask(PerturbationGenerator(image_size=64, width=16, depth=1, heads=2), pipelines[:1], warmup_steps=0)
    data = PictureDataModule(PortraitDataset(0, 6, 1), PortraitDataset(900_000, 2, 1), batch_size=2)
    trainer.fit(task, data)
    assert len(runs) == 3, "clean once, protected at the first and the third validation"
    logged = {name for name in trainer.callback_metrics if name.startswith("eval/lora_ti/")}
    assert logged == {f"eval/lora_ti/{arm}_{metric}" for arm in ("clean", "rid") for metric in ("ism", "ism_all", "fdfr")}
    assert trainer.callback_metrics["eval/lora_ti/rid_fdfr"] == 0


def test_the_grid_shows_clean_protected_and_amplified_difference():
    clean = torch.full((2, 3, 8, 8), 0.5)
    grid = picture_grid(clean, clean + 0.02, gain=10.0)
    assert grid.shape == (3, 3 * 10 + 2, 2 * 10 + 2)
    assert torch.allclose(grid[:, 3, 3], torch.tensor(0.5))
    assert torch.allclose(grid[:, 23, 3], torch.tensor(0.7), atol=1e-5)

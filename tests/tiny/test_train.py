"""Every recipe runs through the real command, a few steps each, and what it leaves opens as what it is."""

import json
from functools import partial

import pytest
import torch
import yaml
from diffusers import DDPMPipeline, StableDiffusionPipeline
from lightning import LightningModule

import tiny.train
from checkpoints.command import run
from datamodules.pictures import PictureDataModule
from eval.metrics.identity import load_faces
from rid.weights import load_generator
from tiny.__main__ import main
from tiny.dataset import PortraitDataset
from tiny.train import DiffusionRecipe


def lighter(config, folder):
    """The shipped training config with a small network and little validation."""
    settings = yaml.safe_load(config.read_text())
    if "width" in settings["model"]["generator"]["init_args"]:
        settings["model"]["generator"]["init_args"] |= {"width": 16, "depth": 1, "heads": 2}
    settings["data"]["init_args"]["val"]["init_args"]["identities"] = 2
    (folder / config.name).write_text(yaml.safe_dump(settings))
    return folder / config.name


@pytest.mark.slow
def test_a_whole_world_in_a_few_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny.train, "TRAINING_PEOPLE", 40)
    small = {
        name: (DiffusionRecipe(r.autoencoder, r.steps, r.seed, r.origin, pictures=400) if isinstance(r, DiffusionRecipe) else r)
        for name, r in tiny.train.RECIPES.items()
        if name != "probe"
    }
    small["faces"] = partial(tiny.train.train_faces, people=16, pictures=4)
    small["ddpm"] = partial(tiny.train.train_unconditional, people=8, pictures=4)
    small["rid"] = partial(tiny.train.train_rid, people=8, pictures=4)
    monkeypatch.setattr(tiny.train, "RECIPES", small)
    for config in ("REGRESSION_CONFIG", "COMBINED_CONFIG"):
        monkeypatch.setattr(tiny.train, config, lighter(getattr(tiny.train, config), tmp_path))
    places = ["--output", str(tmp_path / "shipped"), "--work", str(tmp_path / "work")]
    assert run(main, ["train", "all", "--steps", "2", *places]) == 0
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "shipped" / "sd-a2")
    image = pipeline("photo of a person", num_inference_steps=2, output_type="pt").images
    assert image.shape == (1, 3, 64, 64)
    assert {p.dtype for p in pipeline.text_encoder.parameters()} == {torch.float32}
    assert DDPMPipeline.from_pretrained(tmp_path / "shipped" / "ddpm")(num_inference_steps=2, output_type="np").images.shape == (
        1,
        32,
        32,
        3,
    )
    note = json.loads((tmp_path / "shipped" / "sd-a2" / "training.json").read_text())
    assert (note["steps"], note["seed"]) == (2, 7)
    assert load_generator(str(tmp_path / "shipped" / "rid")).to_pixels.weight.any()
    assert not any("_name_or_path" in path.read_text() for path in (tmp_path / "shipped").rglob("*.json"))


def test_the_face_recipe(tmp_path):
    place = tiny.train.Place(tmp_path / "shipped", tmp_path / "work")
    tiny.train.train_faces(place, "faces", steps=1, people=16, pictures=4)
    faces = load_faces(str(tmp_path / "shipped" / "faces"))(torch.rand(2, 3, 64, 64))
    assert faces.embeddings.shape == (2, 96)


def test_an_unknown_model_is_one_line(capsys):
    assert run(main, ["train", "sd-z"]) == 2
    assert "error: no model 'sd-z'; choose one of faces," in capsys.readouterr().err


def test_portraits_are_written_with_their_facts(tmp_path, capsys):
    assert run(main, ["portraits", "-o", str(tmp_path), "--people", "2", "--pictures", "3"]) == 0
    rows = json.loads((tmp_path / "portraits.json").read_text())
    assert len(rows) == 6
    assert all((tmp_path / row["image_file"]).is_file() for row in rows)
    assert rows[0]["identity"]["number"] == 1_000_000


class Stops(LightningModule):
    """One weight, and an end at a given batch."""

    def __init__(self, stop_at: int | None) -> None:
        super().__init__()
        self.weight, self.stop_at, self.trained = torch.nn.Parameter(torch.ones(1)), stop_at, 0

    def training_step(self, batch, index):
        if index == self.stop_at:
            raise RuntimeError
        self.trained += 1
        return self.weight * batch["image"].mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_stopped_recipe_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny.train, "SAVE_EVERY", 2)
    data = PictureDataModule(PortraitDataset(0, 8, 1), batch_size=1)
    with pytest.raises(RuntimeError):
        tiny.train.fit(Stops(3), data, 6, tmp_path)
    again = Stops(None)
    tiny.train.fit(again, data, 6, tmp_path)
    assert again.trained == 4
    assert not list(tmp_path.glob("*.ckpt"))

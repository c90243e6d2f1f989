"""Every model class: saved, loaded strictly, from checkpoints and from older formats."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from checkpoints.__main__ import MODELS, class_of
from checkpoints.card import Purpose, model_card
from checkpoints.golden import compute_outputs
from checkpoints.saved import SavedModel, model_configs
from detectors.calibration import Calibration
from detectors.detector import Detector
from images.transforms.views import View
from models.copy_net import CopyNet
from models.faces.face_net import FaceNet
from models.image_text_net import ImageTextNet
from models.photo_copy_net import PhotoCopyNet
from rid.generator import PerturbationGenerator

SHIPPED = Path(__file__).parents[2] / "checkpoints" / "tiny"

MAKERS = {
    "PerturbationGenerator": lambda: PerturbationGenerator(
        budget=4.0, image_size=16, patch_size=8, width=16, depth=1, heads=2
    ),
    "folded PerturbationGenerator": lambda: MAKERS["PerturbationGenerator"]().fold(),
    "FaceNet": lambda: FaceNet(image_size=16, channels=(8, 8), embedding=4, threshold=0.3),
    "Detector": lambda: Detector(
        "tiny_patches",
        view=View("crop", 16, 16),
        train_view=View("crop", 16, 16, random=True, jpeg=0.5),
    ),
    "Detector of timm": lambda: Detector(
        "timm", {"name": "resnet10t", "frozen_stages": 1}, View("crop", 32, 32)
    ),
    "CopyNet": lambda: CopyNet(image_size=16, channels=(8, 8), descriptor=4, standardise=True),
    "PhotoCopyNet": lambda: PhotoCopyNet(image_size=32, descriptor=4),
    "ImageTextNet": lambda: ImageTextNet(
        ["a", "red"], side=32, reader=(4, 4, 8), looks=(4, 8), appearance=4
    ),
}


def made(name, half=False):
    torch.manual_seed(0)
    model = MAKERS[name]()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return (model.half() if half else model).eval()


def same(one, other):
    found = compute_outputs(one)
    expected = compute_outputs(other)
    return found.keys() == expected.keys() and all(
        torch.allclose(found[key], expected[key], atol=1e-6) for key in expected
    )


@pytest.mark.parametrize("name", MAKERS)
def test_round_trip_through_a_folder(name, tmp_path):
    model = made(name)
    model.save_pretrained(tmp_path / "model")
    opened = type(model).from_pretrained(tmp_path / "model")
    assert json.dumps(opened.to_config()) == json.dumps(model.to_config())
    assert not opened.training
    assert [p.requires_grad for p in opened.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    assert same(opened, model)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert class_of(config) is type(model)
    card = model_card(tmp_path / "model", type(model).PURPOSE)
    for words in (
        "license: apache-2.0",
        type(model).PURPOSE.title,
        "## Intended use",
        "## Limits",
        "model.safetensors | sha256",
    ):
        assert words in card
    assert not [file.name for file in (tmp_path / "model").iterdir() if "partial" in file.name]


@pytest.mark.parametrize("name", MAKERS)
def test_round_trip_through_a_lightning_checkpoint(name, tmp_path):
    model = made(name)
    task = nn.ModuleDict({"other": nn.Linear(2, 2), "network": model})
    state = {"state_dict": task.state_dict(), "models": model_configs(task), "epoch": 3}
    torch.save(state, tmp_path / "last.ckpt")
    assert same(type(model).from_pretrained(tmp_path / "last.ckpt"), made(name))


def test_a_checkpoint_that_does_not_tell_its_settings(tmp_path):
    model = made("FaceNet")
    torch.save(
        {"state_dict": {f"network.{key}": value for key, value in model.state_dict().items()}},
        tmp_path / "old.ckpt",
    )
    with pytest.raises(
        ValueError, match="has no settings of its FaceNet; give the constructor's arguments"
    ):
        FaceNet.from_pretrained(tmp_path / "old.ckpt")
    settings = {"image_size": 16, "channels": (8, 8), "embedding": 4, "threshold": 0.3}
    assert same(FaceNet.from_pretrained(tmp_path / "old.ckpt", **settings), made("FaceNet"))
    with pytest.raises(ValueError, match="contains no FaceNet of these settings"):
        FaceNet.from_pretrained(tmp_path / "old.ckpt", **settings | {"channels": (8, 8, 8)})
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="not a Lightning checkpoint"):
        FaceNet.from_pretrained(tmp_path / "other.ckpt")


def test_every_class_that_a_config_may_name_is_tried_here():
    assert set(MODELS) <= set(MAKERS)


def test_half_precision_is_kept_in_the_file_and_opened_as_asked(tmp_path):
    made("FaceNet", half=True).save_pretrained(tmp_path)
    assert FaceNet.from_pretrained(tmp_path).embed.weight.dtype == torch.float32
    assert (
        FaceNet.from_pretrained(tmp_path, dtype=torch.float16).embed.weight.dtype == torch.float16
    )


def test_a_calibration_travels_with_its_detector(tmp_path):
    model = made("Detector")
    model.calibration = Calibration(scale=2.0, bias=-1.0, images=9)
    model.save_pretrained(tmp_path)
    assert Detector.from_pretrained(tmp_path).calibration == model.calibration
    assert "| scale | 2 |" in model_card(tmp_path, Detector.PURPOSE)


def test_the_first_folders_still_open():
    assert "format" not in json.loads((SHIPPED / "rid" / "config.json").read_text())
    assert PerturbationGenerator.from_pretrained(SHIPPED / "rid").budget == 6.0
    assert FaceNet.from_pretrained(SHIPPED / "faces").threshold == 0.5
    assert PerturbationGenerator.from_pretrained("tiny-rid").budget == 6.0, (
        "by its name in the registry"
    )


def wider(config, weights):
    """Format 1 said width, and called the layer fc."""
    return {"inputs": config.pop("width"), **config}, {
        key.replace("fc.", "linear."): value for key, value in weights.items()
    }


class Second(SavedModel, tags=["tests"]):
    """A class whose constructor and weights were once named otherwise."""

    FORMAT = 2
    MIGRATIONS = {1: wider}  # noqa: RUF012
    PURPOSE = Purpose("A line", use="Tests.", limits="None.")

    def __init__(self, inputs: int = 2):
        super().__init__()
        self.linear = nn.Linear(inputs, 1)

    def forward(self, x):
        return self.linear(x)


def test_old_formats_are_brought_up_and_later_ones_refused(tmp_path):
    model = Second(inputs=3)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "model": "Second",
        "format": 2,
        "inputs": 3,
    }
    save_file(
        {"fc.weight": model.linear.weight.detach(), "fc.bias": model.linear.bias.detach()},
        tmp_path / "model.safetensors",
    )
    (tmp_path / "model.sha256").unlink()  # folders of that time have none
    (tmp_path / "config.json").write_text('{"model": "Second", "format": 1, "width": 3}')
    assert torch.equal(Second.from_pretrained(tmp_path).linear.weight, model.linear.weight)
    (tmp_path / "config.json").write_text('{"model": "Second", "format": 3, "inputs": 3}')
    with pytest.raises(
        ValueError, match="of format 3, this version reads up to 2; update this project"
    ):
        Second.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "FaceNet"}, "contains a FaceNet, not a PerturbationGenerator"),
        ({"budget": None}, "not a PerturbationGenerator's settings"),
        ({"colour": 3}, "unknown settings colour"),
        ({"width": 32}, "has shape"),
        ({"depth": 2}, "entries are missing"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, change, words):
    made("PerturbationGenerator").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words):
        PerturbationGenerator.from_pretrained(tmp_path)


def test_a_bound_is_never_guessed(tmp_path):
    made("PerturbationGenerator").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["budget"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="budget missing"):
        PerturbationGenerator.from_pretrained(tmp_path)


def test_nothing_is_written_of_a_broken_network(tmp_path):
    model = made("FaceNet")
    model.save_pretrained(tmp_path / "model")
    before = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    model.embed.bias.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"not finite \(embed.bias\)"):
        model.save_pretrained(tmp_path / "model")
    assert {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()} == before


def test_answers_of_other_weights_do_not_outlive_them(tmp_path):
    shutil.copytree(SHIPPED / "faces", tmp_path / "faces")
    FaceNet.from_pretrained(tmp_path / "faces").save_pretrained(tmp_path / "faces")
    assert not (tmp_path / "faces" / "golden.npz").exists()

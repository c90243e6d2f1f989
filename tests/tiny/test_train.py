"""Every recipe runs through its command for a few steps, and its result loads."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from diffusers import DDPMPipeline, StableDiffusionPipeline
from lightning import LightningModule
from PIL import Image

import datamodules.fake2m.shortcuts
import tiny.cards
import tiny.train
import tiny.train_adapter
import tiny.train_detectors
import tiny.train_diffusion
import tiny.train_recognition
import tiny.train_restorer
import tiny.train_rid
from datamodules.datamodule import ImageDataModule
from detectors.detector import Detector
from engine.cli import run
from engine.statistics import Interval
from eval.attacks.one_photo import IPAdapter
from eval.attacks.single_image import Sampling
from models.denoisers import open_family
from models.embedders import open_embedder
from models.faces.backends import load_faces
from models.taef2 import TAEF2
from rid.weights import load_generator
from tests.conftest import SHIPPED
from tests.tiny.use import check_use
from tiny import fitting
from tiny.__main__ import main
from tiny.dataset import PortraitDataset
from tiny.detection import DetectionSizes
from tiny.figures import Figure
from tiny.train_diffusion import DiffusionRecipe
from tiny.train_flow import FlowRecipe
from tiny.unlike import UnlikeSizes


def lighter(config, folder):
    """The protecting generator's training config with a small network and little validation."""
    settings = yaml.safe_load(config.read_text())
    if "width" in settings["model"]["generator"]["init_args"]:
        settings["model"]["generator"]["init_args"] |= {"width": 16, "depth": 1, "heads": 2}
    settings["data"]["init_args"]["val"]["init_args"]["identities"] = 2
    (folder / config.name).write_text(yaml.safe_dump(settings))
    return folder / config.name


def smaller_batches(config, folder):
    """A detector's training config with a quarter of the pictures in each step."""
    settings = yaml.safe_load(config.read_text())
    settings["data"]["batch_size"] = 8
    (folder / config.name).write_text(yaml.safe_dump(settings))
    return folder / config.name


@pytest.mark.slow
def test_a_whole_world_in_a_few_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny.train_diffusion, "TRAINING_PEOPLE", 40)
    monkeypatch.setattr(datamodules.fake2m.shortcuts, "MIN_IMAGES", 20)
    small = {
        name: replace(r, pictures=400) if isinstance(r, DiffusionRecipe | FlowRecipe) else r
        for name, r in tiny.train.RECIPES.items()
        if name != "probe"
    }
    small["faces"] = partial(tiny.train_recognition.train_faces, people=16, pictures=4)
    small["ddpm"] = partial(tiny.train_diffusion.train_unconditional, people=8, pictures=4)
    small["upscaler"] = partial(tiny.train_diffusion.train_upscaler, people=16)
    small["ip-adapter"] = partial(tiny.train_adapter.train_adapter, people=8, held_out=1)
    small["restorer"] = partial(tiny.train_restorer.train_restorer, people=8, held_out=1)
    # After a few steps a detector may be worse than chance, which calibration refuses.
    # After sixty it is not.
    sizes = DetectionSizes(40, 24, 6, 6)
    small["detector"] = lambda place, name, steps: tiny.train_detectors.train_detector(
        place, name, 30 * steps, sizes, UnlikeSizes(4, 6, 4)
    )
    small["copies"] = partial(
        tiny.train_recognition.train_copies, collages=60, portraits=4, windows=4
    )
    small["index"] = partial(tiny.train_recognition.train_index, training=80, entries=20)
    small["rid"] = partial(tiny.train_rid.train_rid, people=8, pictures=4)
    small["rid-robust"] = partial(tiny.train_rid.train_robust_rid, people=8, pictures=4)
    monkeypatch.setattr(tiny.train, "RECIPES", small)
    for config in ("REGRESSION_CONFIG", "COMBINED_CONFIG", "ROBUST_CONFIG", "FURTHER_CONFIG"):
        monkeypatch.setattr(
            tiny.train_rid, config, lighter(getattr(tiny.train_rid, config), tmp_path)
        )
    monkeypatch.setattr(
        tiny.train_detectors,
        "DETECTOR_CONFIGS",
        [smaller_batches(config, tmp_path) for config in tiny.train_detectors.DETECTOR_CONFIGS],
    )
    places = ["--output", str(tmp_path / "shipped"), "--work", str(tmp_path / "work")]
    assert run(main, ["train", "all", "--steps", "2", *places]) == 0
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "shipped" / "sd-a2")
    image = pipeline("photo of a person", num_inference_steps=2, output_type="pt").images
    assert image.shape == (1, 3, 64, 64)
    assert {p.dtype for p in pipeline.text_encoder.parameters()} == {torch.float32}
    assert DDPMPipeline.from_pretrained(tmp_path / "shipped" / "ddpm")(
        num_inference_steps=2, output_type="np"
    ).images.shape == (
        1,
        32,
        32,
        3,
    )
    assert open_family(str(tmp_path / "shipped" / "sd-c")).network == "transformer"
    note = json.loads((tmp_path / "shipped" / "sd-a2" / "training.json").read_text())
    assert (note["steps"], note["seed"]) == (2, 7)
    for generator in ("rid", "rid-robust"):
        assert load_generator(str(tmp_path / "shipped" / generator)).to_pixels.weight.any()
    detector = Detector.from_pretrained(str(tmp_path / "shipped" / "detector"))
    assert detector.calibration.images == 24 + 2 * 8 + 24
    assert detector.kind in ("npr", "patches")
    assert (
        json.loads((tmp_path / "shipped" / "detector" / "training.json").read_text())["steps"] == 60
    )
    assert open_embedder(str(tmp_path / "shipped" / "copies")).dimension == 64
    assert not any(
        "_name_or_path" in path.read_text() for path in (tmp_path / "shipped").rglob("*.json")
    )


def test_the_face_recipe(tmp_path):
    place = fitting.Place(tmp_path / "shipped", tmp_path / "work")
    tiny.train_recognition.train_faces(place, "faces", steps=1, people=16, pictures=4)
    faces = load_faces(str(tmp_path / "shipped" / "faces"))(torch.rand(2, 3, 64, 64))
    assert faces.embeddings.shape == (2, 96)


def test_the_adapters_recipe(tmp_path, portraits):
    (tmp_path / "sd-a1").symlink_to(SHIPPED / "sd-a1")
    place = fitting.Place(tmp_path, tmp_path / "work")
    tiny.train_adapter.train_adapter(place, "ip-adapter", steps=1, people=8, held_out=1)
    attack = IPAdapter(
        str(tmp_path / "sd-a1"),
        str(tmp_path / "ip-adapter"),
        sampling=Sampling(samples=1, steps=1),
    )
    generated = attack(portraits[:5:4])
    assert generated.shape == (2, 3, 64, 64)
    assert not torch.equal(generated[0], generated[1])


def test_an_unknown_model_is_one_line(capsys):
    assert run(main, ["train", "sd-z"]) == 2
    assert "error: no model 'sd-z'; choose one of faces," in capsys.readouterr().err


def test_portraits_are_written_with_their_facts(tmp_path, capsys):
    assert run(main, ["portraits", "-o", str(tmp_path), "--people", "2", "--pictures", "3"]) == 0
    rows = json.loads((tmp_path / "portraits.json").read_text())
    assert len(rows) == 6
    assert all((tmp_path / row["image_file"]).is_file() for row in rows)
    assert rows[0]["identity"]["number"] == 1_000_000


PORTRAITS = ("portraits", "--people", "2", "--pictures", "1")
PICTURES = ("pictures", "--training", "1", "--references", "2", "--originals", "1")


@pytest.mark.parametrize(
    ("verb", "other", "reason"),
    [(PORTRAITS, "--people", "people differs"), (PICTURES, "--references", "references differs")],
)
def test_drawn_images_have_their_own_folder(verb, other, reason, tmp_path, capsys):
    mine = tmp_path / "mine" / "portraits.json"
    mine.parent.mkdir()
    mine.write_text("mine")
    out = tmp_path / "out"
    strangers = ("--strangers", "0") if verb is PICTURES else ()
    command = [*verb, *strangers, "-o", str(out)]
    for _ in range(2):
        assert run(main, command) == 0
        first = {file: file.read_bytes() for file in out.rglob("*.png")}
    assert len(first) == (4 if verb is PICTURES else 2)
    assert run(main, [*command, other, "1"]) == 2
    assert reason in capsys.readouterr().err
    assert run(main, [*command, "--size", "100"]) == 2
    assert "size differs" in capsys.readouterr().err
    assert run(main, [*command, "-o", str(mine.parent)]) == 2
    assert "files that are not an earlier run's" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in out.rglob("*.png")} == first
    assert [file.read_text() for file in mine.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("portraits", "--people", "0"), "people and pictures must be at least 1"),
        (("portraits", "--pictures", "-1"), "people and pictures must be at least 1"),
        (("portraits", "--size", "63"), "64 to 512 pixels"),
        (("pictures", "--originals", "-1"), "at least 0"),
        (
            ("pictures", "--training=0", "--references=0", "--originals=0", "--strangers=0"),
            "one of them at least 1",
        ),
        (("pictures", "--size", "9"), "64 to 512 pixels"),
    ],
)
def test_counts_and_sizes_out_of_range_write_nothing(arguments, reason, tmp_path, capsys):
    assert run(main, [*arguments, "-o", str(tmp_path / "out")]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
    monkeypatch.setattr(fitting, "SAVE_INTERVAL_STEPS", 2)
    data = ImageDataModule(PortraitDataset(0, 8, 1), batch_size=1)
    with pytest.raises(RuntimeError):
        fitting.fit(Stops(3), data, 6, tmp_path)
    again = Stops(None)
    fitting.fit(again, data, 6, tmp_path)
    assert again.trained == 4
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_folder_of_pictures_trains_a_pipeline_over_a_released_autoencoder(tmp_path):
    """Gray images of any shape, some with captions, give a pipeline like any other."""
    rng = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(rng.integers(0, 255, (70, 90 + number), dtype=np.uint8)).save(
            make(tmp_path / "data" / f"{number % 3}") / f"{number}.png"
        )
    (tmp_path / "data" / "0" / "3.txt").write_text("photo of a zebra\n")
    (tmp_path / "data" / "notes.md").write_text("no picture")
    torch.manual_seed(0)
    for part in ("encoder", "decoder"):
        torch.save(
            getattr(TAEF2(), part).state_dict(), make(tmp_path / "taef2") / f"taef2_{part}.pth"
        )
    places = [
        "--output",
        str(tmp_path / "out"),
        "--work",
        str(tmp_path / "work"),
        "--data",
        str(tmp_path / "data"),
    ]
    assert (
        run(
            main,
            ["train", "sd-a1", "--steps", "1", "--autoencoder", str(tmp_path / "taef2"), *places],
        )
        == 0
    )
    folder = str(tmp_path / "out" / "sd-a1")
    assert (
        json.loads((tmp_path / "out" / "sd-a1" / "training.json").read_text())["data"]
        == "59 images of a folder"
    )

    check_use(folder, torch.rand(2, 3, 64, 64), 2)
    assert run(main, ["train", "vae-a", "--steps", "1", *places]) == 0
    assert run(main, ["train", "ddpm", "--steps", "1", *places]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["faces", "--data", "D", "--output", "O"],
            "faces needs identities, which only drawn portraits have",
        ),
        (
            ["sd-a1", "--data", "D"],
            "give --output: checkpoints/tiny holds the models of drawn portraits",
        ),
        (
            ["vae-a", "--data", "D", "--output", "O"],
            "D: 1 images; training needs at least 50",
        ),
        (["vae-a", "--data", "nowhere", "--output", "O"], "nowhere: no such file or folder"),
    ],
)
def test_wrong_uses_of_a_folder_are_told(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save(make(tmp_path / "D") / "one.png")
    assert run(main, ["train", *arguments]) == 2
    assert words in capsys.readouterr().err


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_an_unknown_model_to_measure_is_one_line(capsys):
    assert run(main, ["measure", "sd-z"]) == 2
    assert "error: no measure for 'sd-z'; choose of faces," in capsys.readouterr().err


def test_a_card_says_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(
        tiny.cards.MEASURES,
        "rid",
        lambda shipped, work: (
            "A title",
            "Words.",
            {
                "psnr": Figure(31.25, "9 images", Interval(30.5, 32.0)),
                "errors": {"clean": Figure(0.5)},
            },
        ),
    )
    (tmp_path / "rid").mkdir()
    (tmp_path / "rid" / "training.json").write_text('{"seed": 4}')
    assert run(main, ["measure", "rid", "--output", str(tmp_path)]) == 0
    assert not (tmp_path / "rid" / "README.md").exists(), "cards are not written unasked"
    assert run(main, ["measure", "rid", "--output", str(tmp_path), "--overwrite"]) == 0
    card = (tmp_path / "rid" / "README.md").read_text()
    assert card.startswith("# A title\n\nWords.\n")
    assert "| seed | 4 |" in card
    assert "One training run." in card
    assert "| psnr | 31.250 (30.500 to 32.000) | 9 images |" in card
    assert "| errors: clean | 0.500 | - |" in card

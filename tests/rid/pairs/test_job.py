"""Gradient pairs through their real entry point, on small untrained models."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from datamodules.pairs import PairList
from engine.cli import run
from images.io import save_png, to_rgb, to_uint8
from images.photo import Photo
from rid.__main__ import main
from rid.pairs.config import PGDConfig
from rid.pairs.objectives import Denoising, FineTunedSurrogate, SurrogateConfig, Targeted
from rid.pairs.pgd import pgd

FAST = {
    "pgd": {"steps": 1, "outer_steps": 2, "step_size": 4.0},
    "side": 64,
    "batch_size": 2,
    "accelerator": "cpu",
}
SURROGATE = {
    "steps": 1,
    "lr": 0.001,
    "class_images": 1,
    "sample_steps": 1,
    "instance_prompt": "photo of a person",
}


@pytest.fixture
def photos(portraits, tmp_path) -> Path:
    """Five portraits of two people, one of them wider than high, and a file that is none."""
    for index, levels in enumerate(to_uint8(portraits[:5])):
        wide = levels.repeat(1, 1, 2) if index == 3 else levels
        save_png(
            Photo(to_rgb(wide)),
            tmp_path / "in" / f"person{index // 3}" / f"{index}.png",
        )
    return tmp_path / "in"


def pairs(photos, out, models, kind="Denoising", init=None, **settings):
    """Run ``rid pairs``.

    Args:
        photos: Folder of the images.
        out: Folder of the pairs.
        models: Models of the objective.
        kind: Class of the objective.
        init: Its other settings.
        settings: Settings of the pairs.
    """
    config = out.parent / "pairs.yaml"
    objective = {
        "class_path": f"rid.pairs.objectives.{kind}",
        "init_args": {"models": models} | (init or {}),
    }
    config.write_text(yaml.safe_dump(FAST | {"objective": objective} | settings))
    return run(main, ["pairs", str(photos), "-o", str(out), "-c", str(config)])


def levels(path):
    return np.asarray(Image.open(path)).astype(int)


@pytest.mark.parametrize(
    ("kind", "init", "settings"),
    [
        ("Denoising", {}, {}),
        (
            "Denoising",
            {"num_noise_samples": 2, "timestep_range": [0.05, 0.95]},
            {"alternate_models": False},
        ),
        (
            "Denoising",
            {},
            {
                "pgd": {"steps": 1, "outer_steps": 2, "step_size": 4.0, "universal": True},
                "batch_size": 5,
            },
        ),
        ("FineTunedSurrogate", {"surrogate": SURROGATE}, {"by_folder": True}),
        (
            "FineTunedSurrogate",
            {
                "surrogate": SURROGATE
                | {
                    "warmup_steps": 2,
                    "steps": 0,
                    "train_text_encoder": False,
                    "prior_weight": 0.0,
                }
            },
            {},
        ),
        ("EncoderAttack", {}, {}),
        ("Targeted", {"target": "TARGET"}, {}),
    ],
)
def test_every_variant_makes_pairs_that_training_reads(
    photos, pipelines, tmp_path, kind, init, settings
):
    if init.get("target"):
        init = init | {"target": str(photos / "person1" / "4.png")}
    out = tmp_path / "out"
    assert pairs(photos, out, [pipelines[0], pipelines[2]], kind, init, **settings) == 0
    listed = json.loads((out / "pairs.json").read_text())
    assert [row["source_path"] for row in listed] == [
        f"source/person{i // 3}/{i}.png" for i in range(5)
    ], "no tail is dropped"
    for row in listed:
        change = np.abs(levels(out / row["source_path"]) - levels(out / row["attacked_path"])).max()
        assert 0 < change <= 6
    assert PairList(str(out / "pairs.json"), 64)[3]["attacked"].shape == (3, 64, 64)


def test_a_universal_perturbation_is_the_same_for_all(pipelines, portraits):
    images = portraits[:3] * 0.5 + 0.25
    changes = (
        pgd(
            images,
            [Denoising(pipelines[:1], prompt=" ")],
            6,
            PGDConfig(2, 2.0, universal=True),
            torch.Generator().manual_seed(0),
        )
        - images
    )
    assert changes.abs().max() > 1 / 255
    assert torch.allclose(changes[0], changes[2], atol=1e-6)


def test_a_stopped_job_goes_on_and_comes_to_the_same(photos, pipelines, tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert pairs(photos, whole, pipelines[:1]) == 0
    assert pairs(photos, cut, pipelines[:1]) == 0
    (cut / "attacked" / "person0" / "2.png").unlink()
    (cut / "pairs.json").unlink()
    kept = (cut / "attacked" / "person0" / "0.png").stat().st_mtime_ns
    assert pairs(photos, cut, pipelines[:1]) == 0
    assert (cut / "attacked" / "person0" / "0.png").stat().st_mtime_ns == kept
    for path in whole.rglob("*.png"):
        assert path.read_bytes() == (cut / path.relative_to(whole)).read_bytes()
    assert (whole / "pairs.json").read_text() == (cut / "pairs.json").read_text()
    assert pairs(photos, cut, pipelines[:1], seed=9) == 2
    assert "holds results of other settings" in capsys.readouterr().err


def test_shards_and_a_file_that_is_no_picture(photos, pipelines, tmp_path, capsys):
    (photos / "person0" / "x.png").write_text("none")
    assert pairs(photos, tmp_path / "out", pipelines[:1], shards=True) == 1
    assert "x.png: not a valid image file" in capsys.readouterr().err
    names = []
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path) as archive:
            names += archive.getnames()
    assert len(names) == 10
    assert names[:2] == ["person0/0.source.png", "person0/0.attacked.png"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "Targeted"}, "target"),
        ({"init": {"timestep_range": [0.9, 0.1]}}, "the lower first"),
        ({"pgd": {"steps": 0}}, "steps and outer_steps must be at least 1"),
        ({"models": ["no/model"]}, "hf download no/model"),
        ({"models": []}, "models is empty"),
        ({"method": "encoder"}, "method is no setting of its own any more: give --objective"),
        ({"colour": 1}, "colour"),
    ],
)
def test_mistakes_are_one_line(photos, pipelines, tmp_path, capsys, settings, words):
    assert pairs(photos, tmp_path / "out", **{"models": pipelines[:1]} | settings) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert words in lines[0]


def test_a_surrogate_learns_the_clean_pictures_only_within_a_round(pipelines, portraits):
    surrogate = FineTunedSurrogate(
        pipelines[:1], SurrogateConfig(steps=1, lr=1e-3, prior_weight=0.0)
    )
    weight = surrogate.trainable["unet"].conv_in.weight
    start = weight.detach().clone()
    surrogate.start_round(portraits[:2], torch.Generator().manual_seed(0))
    assert not torch.equal(weight, start)
    surrogate.end_round(portraits[:2], torch.Generator().manual_seed(1))
    assert not torch.equal(weight, start), "it has learned the protected ones"
    surrogate.start_round(portraits[2:4], torch.Generator().manual_seed(0))
    surrogate.trainable.load_state_dict(surrogate.saved_state)
    assert torch.equal(weight, start), "other people, untouched model"


def test_the_shift_term_rewards_pictures_like_the_target(pipelines, portraits, tmp_path):
    image = to_rgb(portraits[0])
    save_png(Photo(image), tmp_path / "target.png")
    objective = Targeted(pipelines[:1], str(tmp_path / "target.png"), prompt=" ")
    objective.start_round(portraits[:1], torch.Generator())
    with torch.no_grad():
        near, far = (
            torch.stack(
                [objective(x, torch.Generator().manual_seed(seed)).mean() for seed in range(16)]
            ).mean()
            for x in (portraits[:1], portraits[4:5])
        )
    assert near > far


@pytest.mark.slow
def test_two_processes_make_the_same_pairs(photos, pipelines, tmp_path):
    assert pairs(photos, tmp_path / "one", pipelines[:1]) == 0
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "rid",
            "pairs",
            str(photos),
            "-o",
            str(tmp_path / "two"),
            "-c",
            str(tmp_path / "pairs.yaml"),
            "--devices",
            "2",
        ],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert len(json.loads((tmp_path / "two" / "pairs.json").read_text())) == 5
    for path in (tmp_path / "one").rglob("*.png"):
        difference = np.abs(
            levels(path) - levels(tmp_path / "two" / path.relative_to(tmp_path / "one"))
        )
        assert (difference > 0).mean() < 0.01, (
            "up to rounding, as two processes use fewer threads each"
        )


def test_a_surrogate_learns_the_reference_images(photos, pipelines, tmp_path, capsys, portraits):
    settings = {
        "kind": "FineTunedSurrogate",
        "init": {"surrogate": SURROGATE},
        "by_folder": True,
    }
    reference = tmp_path / "reference"
    assert pairs(photos, tmp_path / "without", pipelines[:1], **settings) == 0
    for person, index in (("person0", 6), ("person1", 7)):
        image = to_rgb(portraits[index])
        save_png(Photo(image), reference / person / "a.png")
    settings |= {"reference": str(reference)}
    assert pairs(photos, tmp_path / "with", pipelines[:1], **settings) == 0
    name = "attacked/person0/0.png"
    assert not np.array_equal(levels(tmp_path / "with" / name), levels(tmp_path / "without" / name))
    # other reference images are another job
    save_png(Photo(image), reference / "person0" / "b.png")
    assert pairs(photos, tmp_path / "with", pipelines[:1], **settings) == 2
    assert "reference differs" in capsys.readouterr().err
    # every person needs some
    (reference / "person1" / "a.png").unlink()
    assert pairs(photos, tmp_path / "new", pipelines[:1], **settings) == 2
    assert "has no images in 'person1'" in capsys.readouterr().err
    assert pairs(photos, tmp_path / "new", pipelines[:1], reference=str(reference)) == 2
    assert "reference needs an objective that fine-tunes" in capsys.readouterr().err


def test_pairs_through_edits_name_them_and_differ(photos, pipelines, tmp_path, capsys):
    edit = {
        "class_path": "eval.attacks.purification.DownUp",
        "init_args": {"scale": 0.5},
    }
    assert pairs(photos, tmp_path / "plain", pipelines[:1]) == 0
    assert pairs(photos, tmp_path / "edited", pipelines[:1], edits=[None, edit]) == 0
    settings = json.loads((tmp_path / "edited" / "manifest.json").read_text())["settings"]
    assert settings["edits"][0] is None
    assert settings["edits"][1]["scale"] == 0.5
    name = "attacked/person0/0.png"
    assert not np.array_equal(levels(tmp_path / "plain" / name), levels(tmp_path / "edited" / name))
    assert pairs(photos, tmp_path / "plain", pipelines[:1], edits=[edit]) == 2
    assert "edits differs" in capsys.readouterr().err


@pytest.mark.parametrize("budget", [0.4, 0.0, 256.0])
def test_a_budget_that_files_cannot_hold_is_refused(photos, tmp_path, pipelines, capsys, budget):
    assert pairs(photos, tmp_path / "out", pipelines[:1], budget=budget) == 2
    assert f"must be from 1 to 255, got {budget}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_pair_that_gets_another_name_leaves_none_behind(photos, tmp_path, pipelines):
    folder, out = photos / "person0", tmp_path / "out"
    assert pairs(folder, out, pipelines[:1]) == 0
    shutil.copy(folder / "1.png", folder / "0.jpg")
    assert pairs(folder, out, pipelines[:1]) == 0
    for kind in ("source", "attacked"):
        names = sorted(path.name for path in (out / kind).iterdir())
        assert names == ["0.jpg.png", "0.png.png", "1.png", "2.png"]

"""Training of detectors through the command, on small shards."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from checkpoints.safe import foreign_objects
from detectors.__main__ import main as door
from detectors.calibration import Calibration
from detectors.cli import main
from detectors.detector import Detector, load_detector
from detectors.optimization import decay_groups
from engine.cli import run as run_command
from images.transforms.views import View

ROOT = Path(__file__).parents[2]


def test_a_detector_learns_to_see_repeated_pixels(trained):
    assert trained.trainer.callback_metrics["val/auc"] > 0.95
    assert trained.trainer.callback_metrics["val/balanced_accuracy"] > 0.8
    assert (
        trained.datamodule.test_view
        == trained.model.detector.view
        == View("crop", size=32, resize=32)
    )
    assert trained.datamodule.train_view.random


def test_a_run_leaves_a_detector_that_opens_with_its_view(trained):
    folder = Path(trained.trainer.log_dir) / "detector"
    opened = load_detector(str(folder))
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(opened(images), trained.model.detector.eval()(images))
    assert opened.view == trained.model.detector.view
    assert opened.train_view.random
    assert (
        json.loads((folder / "manifest.json").read_text())["settings"]["network"] == "tiny_patches"
    )
    probability = opened.probability(torch.rand(3, 3, 50, 40))
    assert probability.shape == (3,)
    assert ((probability > 0) & (probability < 1)).all()


def test_a_checkpoint_holds_no_code_and_opens_as_the_detector(trained):
    file = Path(trained.trainer.checkpoint_callback.best_model_path)
    assert foreign_objects(file) == []
    opened = Detector.from_pretrained(file)
    assert opened.view == trained.model.detector.view
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(opened(images), trained.model.detector.eval()(images))


def test_a_strangers_checkpoint_is_refused_unrun(config, tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harm'}",)

    torch.save({"state_dict": {"x": Hostile()}}, tmp_path / "theirs.ckpt")
    assert (
        run_command(
            door,
            ["fit", "-c", config("tiny_patches", {}), "--ckpt_path", str(tmp_path / "theirs.ckpt")],
        )
        == 2
    )
    said = capsys.readouterr().err
    assert "not a training checkpoint, or damaged" in said
    assert "opening it would run posix.system. It was not opened" in said
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("schedule", ["cosine", "step", "plateau", "constant"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_schedules_and_optimizers_run(config, schedule, optimizer):
    run = main(
        [
            "fit",
            "-c",
            config("tiny_patches", {}, {"max_epochs": 1}, schedule=schedule, optimizer=optimizer),
        ]
    )
    assert run.trainer.global_step == 20
    lr = run.trainer.optimizers[0].param_groups[0]["lr"]
    assert (lr < 1e-5) == (schedule == "cosine")


def test_a_run_that_diverges_says_so(config, capsys):
    path = config("tiny_patches", {}, {"max_epochs": 1}, lr=1e30)
    assert run_command(door, ["fit", "-c", path]) == 2
    assert "not finite at step 20: lower lr" in capsys.readouterr().err


def test_a_checkpoint_at_the_last_step_leaves_nothing_to_train(config, caplog):
    path = config("tiny_patches", {}, {"max_steps": 2})
    first = main(["fit", "-c", path])
    again = main(["fit", "-c", path, "--ckpt_path", "last"])
    assert again.trainer.global_step == first.trainer.global_step == 2
    assert "is at step 2, and trainer.max_steps is 2" in caplog.text


def test_a_spectrum_network_takes_its_statistics_first(config):
    run = main(["fit", "-c", config("dct", {"size": 32, "kind": "linear"}, {"max_epochs": 1})])
    assert run.model.detector.network.mean.abs().max() > 1


def test_going_on_from_a_saved_detector(trained, config, tmp_path):
    settings = yaml.safe_load(Path(config("tiny_patches", {}, {"max_epochs": 1})).read_text())
    folder = str(Path(trained.trainer.log_dir) / "detector")
    settings["model"]["detector"] = {
        "class_path": "detectors.detector.load_detector",
        "init_args": {"name": folder},
    }
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(settings))
    cli = main(["validate", "-c", str(tmp_path / "again.yaml")])
    assert cli.trainer.callback_metrics["val/auc"] == pytest.approx(
        float(trained.trainer.callback_metrics["val/auc"])
    )


def test_new_weights_forget_what_the_old_ones_answers_meant(trained, config, tmp_path):
    folder = Path(trained.trainer.log_dir) / "detector"
    Calibration(scale=7.0, bias=3.0, images=500).save(folder)
    settings = yaml.safe_load(Path(config("tiny_patches", {}, {"max_epochs": 1})).read_text())
    settings["model"]["detector"] = {
        "class_path": "detectors.detector.load_detector",
        "init_args": {"name": str(folder)},
    }
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(settings))
    cli = main(["fit", "-c", str(tmp_path / "again.yaml")])
    assert load_detector(str(Path(cli.trainer.log_dir) / "detector")).calibration == Calibration()


def test_the_best_checkpoint_becomes_the_detector(config, tmp_path):
    watching = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"monitor": "val/auc", "mode": "min"},
    }
    run = main(
        [
            "fit",
            "-c",
            config("tiny_patches", {}, {"callbacks": [watching], "max_epochs": 3}, lr=0.02),
        ]
    )
    best = torch.load(run.trainer.checkpoint_callback.best_model_path, weights_only=True)[
        "state_dict"
    ]
    saved = load_detector(str(Path(run.trainer.log_dir) / "detector")).state_dict()
    assert all(torch.equal(best[f"detector.{name}"], value) for name, value in saved.items())


def test_a_plateau_ends_the_run(config):
    run = main(
        [
            "fit",
            "-c",
            config(
                "tiny_patches",
                {},
                {"max_epochs": 30},
                schedule="plateau",
                patience=1,
                decay=0.1,
                lr=1e-5,
                lr_min=1e-6,
            ),
        ]
    )
    assert run.trainer.current_epoch < 29


@pytest.mark.slow
def test_a_detectors_fit_stopped_by_sigterm_goes_on(config, tmp_path):
    path = config("tiny_patches", {}, {"max_epochs": 1000})
    command = [sys.executable, "-m", "detectors", "fit", "-c", path, "--model.schedule", "constant"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((tmp_path / "run").rglob("*.ckpt")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said[-2000:]
    found = re.search(r"stopped by SIGTERM after step (\d+): (.*last\.ckpt) is written", said)
    assert found is not None, said[-2000:]
    state = torch.load(found[2], weights_only=True)
    assert state["global_step"] == int(found[1])
    more = ["--trainer.max_epochs", "-1", "--trainer.max_steps", str(int(found[1]) + 2)]
    constant = ["--model.schedule", "constant"]
    again = main(["fit", "-c", path, "--ckpt_path", "last", *more, *constant])
    assert again.trainer.global_step == int(found[1]) + 2
    whole = main(["fit", "-c", path, *more, *constant])
    for one, other in zip(
        whole.model.state_dict().values(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "trainer", [{}, {"accumulate_grad_batches": 2, "val_check_interval": 4, "max_epochs": 3}]
)
def test_a_resumed_fit_equals_an_unbroken_one(config, tmp_path, trainer):
    steps = 6 if trainer else 13
    every = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"every_n_train_steps": steps, "save_top_k": -1, "filename": "{step}"},
    }
    averaged = {
        "class_path": "lightning.pytorch.callbacks.EMAWeightAveraging",
        "init_args": {"decay": 0.9},
    }
    path = config(
        "timm",
        {"name": "resnet10t", "drop_path": 0.3},
        {"callbacks": [every, averaged], "max_epochs": 2, "limit_val_batches": 1} | trainer,
    )
    quick = ["--data.batch_size", "4", "--data.epoch_samples", "40", "--data.num_workers", "2"]
    whole = main(["fit", "-c", path, *quick])
    checkpoint = next((tmp_path / "run").rglob(f"step={steps}.ckpt"))
    resumed = main(["fit", "-c", path, *quick, "--ckpt_path", str(checkpoint)])
    assert whole.trainer.global_step == resumed.trainer.global_step
    for (name, one), other in zip(
        whole.model.state_dict().items(), resumed.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    seeds = []
    for run in (whole, resumed):
        manifest = Path(run.trainer.log_dir) / "detector" / "manifest.json"
        seeds.append(json.loads(manifest.read_text())["seed"])
    assert seeds == [3, 3]


def test_norms_and_biases_have_no_weight_decay():
    groups = decay_groups(Detector("timm", {"name": "resnet10t", "frozen_stages": 1}), 0.05)
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert all(parameter.ndim <= 1 for parameter in groups[1]["params"])
    assert all(parameter.requires_grad for group in groups for parameter in group["params"])


def test_foreign_and_damaged_folders_are_told(tmp_path):
    Detector("tiny_patches").save_pretrained(tmp_path / "good")
    config = json.loads((tmp_path / "good" / "config.json").read_text())

    def broken(**changes):
        (tmp_path / "good" / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(ValueError) as told:  # noqa: PT011 (the words are checked by the caller)
            Detector.from_pretrained(str(tmp_path / "good"))
        return str(told.value)

    assert "format 7, this version reads up to 1" in broken(format=7)
    assert "no network 'resnet'" in broken(network="resnet")
    assert "not a Detector's settings" in broken(view={"magnify": 3})
    assert "does not take these options" in broken(options={"width": 3})
    assert "network" in broken(network="dct")
    with pytest.raises(FileNotFoundError, match="no model at"):
        Detector.from_pretrained(str(tmp_path / "none"))
    bad = Detector("tiny_patches")
    bad.network.network[0].bias.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        bad.save_pretrained(tmp_path / "bad")
    assert not (tmp_path / "bad").exists()

"""Training through the real entry point: fit, resume, two processes, exported weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from engine.cli import run
from engine.manifest import fingerprint, write_manifest
from models.noise import ShardedGenerator
from rid.__main__ import main as door
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.lineage import lineage_of
from rid.training.cli import main
from rid.training.task import RIDTask
from rid.weights import load_generator, save_generator
from tests.ports import free_port

ROOT = Path(__file__).parents[3]

WITNESS = """
import torch
from lightning import Callback

class Witness(Callback):
    def __init__(self, folder: str) -> None:
        self.folder, self.pictures = folder, []

    def on_train_batch_start(self, trainer, task, batch, index):
        self.pictures += batch["image"].double().sum(dim=(1, 2, 3)).tolist()

    def on_train_end(self, trainer, task):
        record = {"weights": task.generator.state_dict(), "pictures": self.pictures}
        torch.save(record, f"{self.folder}/rank{trainer.global_rank}.pt")
"""


@pytest.mark.parametrize("trainer", [{}, {"accumulate_grad_batches": 2, "precision": "bf16-mixed"}])
def test_a_resumed_run_equals_an_unbroken_one(config, tmp_path, trainer):
    path = str(config(**trainer))
    whole = main(["fit", "-c", path])
    checkpoint = next((tmp_path / "run").rglob("step=3.ckpt"))
    resumed = main(["fit", "-c", path, "--ckpt_path", str(checkpoint)])
    assert whole.trainer.global_step == resumed.trainer.global_step == 6
    for (name, a), b in zip(
        whole.model.state_dict().items(), resumed.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_a_run_leaves_a_generator_that_opens(config, tmp_path):
    cli = main(["fit", "-c", str(config(max_steps=3))])
    generator = load_generator(str(Path(cli.trainer.log_dir) / "generator"))
    assert generator.budget == 6.0
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(generator(images), cli.model.generator.eval()(images))
    assert (Path(cli.trainer.log_dir) / "fit.yaml").is_file()
    assert list(Path(cli.trainer.log_dir).glob("events.out.tfevents.*"))
    manifest = json.loads((Path(cli.trainer.log_dir) / "generator" / "manifest.json").read_text())
    assert (manifest["steps"], manifest["seed"], manifest["budget_levels"]) == (3, 7, 6.0)
    assert len(manifest["surrogates"]) == 3
    assert manifest["made_against"] == {"models": manifest["surrogates"], "complete": True}


def test_a_generator_inherits_what_it_was_made_against_before(config, tmp_path, pipelines):
    write_manifest(
        tmp_path / "earlier",
        made_against={"models": [fingerprint("older", Path(pipelines[2]))], "complete": True},
    )
    save_generator(
        PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=1, heads=2),
        tmp_path / "earlier",
    )
    settings = yaml.safe_load(config(max_steps=3).read_text())
    settings["model"]["generator"] = {
        "class_path": "rid.weights.load_generator",
        "init_args": {"name": str(tmp_path / "earlier")},
    }
    settings["model"]["surrogates"] = pipelines[:1]
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(settings))
    cli = main(["fit", "-c", str(tmp_path / "again.yaml")])
    found = lineage_of(str(Path(cli.trainer.log_dir) / "generator"))
    assert [model["name"] for model in found.models] == ["older", pipelines[0]]
    assert found.complete


def test_a_student_comes_close_to_its_teacher_and_inherits_its_lineage(config, tmp_path, pipelines):
    torch.manual_seed(1)
    teacher = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=1, heads=2)
    torch.nn.init.normal_(teacher.to_pixels.weight, std=0.5)
    save_generator(teacher, tmp_path / "teacher")
    older = [fingerprint("older", Path(pipelines[2]))]
    write_manifest(tmp_path / "teacher", made_against={"models": older, "complete": True})
    settings = yaml.safe_load(config(max_steps=60).read_text())
    settings["trainer"]["callbacks"] = []
    settings["model"] |= {"sds_weight": 0, "distillation_weight": 1.0}
    path = tmp_path / "student.yaml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match="needs a teacher"):
        door(["fit", "-c", str(path)])
    settings["model"]["teacher"] = str(tmp_path / "teacher")
    path.write_text(yaml.safe_dump(settings))
    cli = main(["fit", "-c", str(path)])
    images = next(iter(cli.datamodule.train_dataloader()))["image"]
    with torch.no_grad():
        target = teacher(images)
        left = (cli.model.generator(images) - target).abs().mean() / target.abs().mean()
    assert left < 0.7  # an untrained generator leaves 1
    assert all(name.startswith("generator.") for name in cli.model.state_dict())
    found = lineage_of(str(Path(cli.trainer.log_dir) / "generator"))
    assert [model["name"] for model in found.models] == ["older"]


def test_a_checkpoint_holds_only_the_generator(config, tmp_path):
    main(["fit", "-c", str(config(max_steps=3))])
    state = torch.load(next((tmp_path / "run").rglob("step=3.ckpt")), weights_only=True)
    assert all(key.startswith("generator.") for key in state["state_dict"])


def test_regression_trains_alone_and_together_with_adv_sds(pipelines):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=1, heads=2)
    torch.nn.init.normal_(generator.to_pixels.weight)
    images = torch.rand(2, 3, 64, 64)
    batch = {
        "image": images,
        "source": images.flip(0),
        "attacked": (images.flip(0) + 3 / 255).clamp(0, 1),
    }
    noise = ShardedGenerator(torch.Generator())
    alone = RIDTask(generator, pipelines, sds_weight=0, regression_weight=10, regression_norm="l2")
    terms = alone._terms({key: batch[key] for key in ("source", "attacked")}, noise)
    target = batch["attacked"] - batch["source"]
    expected = 10 * (2 * generator(batch["source"]) - 2 * target).square().mean()
    assert set(terms) == {"regression"}
    assert terms["regression"].item() == pytest.approx(expected.item(), rel=1e-5)
    both = RIDTask(generator, pipelines, regression_weight=2.5)
    both.ensemble = DiffusionEnsemble(pipelines)
    terms = both._terms(batch, ShardedGenerator(torch.Generator().manual_seed(0)))
    assert set(terms) == {"adv_sds", "regression"}
    protected = (images + generator(images)).clamp(0, 1)
    assert torch.allclose(
        terms["adv_sds"],
        both.ensemble.adv_sds(protected, torch.Generator().manual_seed(0)),
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sds_weight": 0}, "not all 0"),
        ({"regression_weight": -1}, "must be >= 0"),
        ({"surrogates": []}, "name at least one"),
    ],
)
def test_settings_that_make_no_sense(pipelines, settings, words):
    with pytest.raises(ValueError, match=words):
        RIDTask(
            PerturbationGenerator(image_size=64, width=16, depth=1, heads=2),
            **{"surrogates": pipelines} | settings,
        )


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "rid", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_an_unknown_key_is_one_line(config, capsys):
    path = config()
    settings = yaml.safe_load(path.read_text())
    settings["model"]["learning_rate"] = 1
    path.write_text(yaml.safe_dump(settings))
    assert run(door, ["fit", "-c", str(path)]) == 2
    told = capsys.readouterr().err
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "learning_rate" in errors[0]
    assert "Traceback" not in told


@pytest.mark.slow
def test_two_processes_agree_and_come_to_what_one_does_with_the_same_global_batch(
    config, tmp_path, portraits
):
    (tmp_path / "witness.py").write_text(WITNESS)
    witness = {"class_path": "witness.Witness", "init_args": {"folder": str(tmp_path)}}
    shared = {"max_steps": 6, "default_root_dir": str(tmp_path / "two")}
    path = config(devices=2, strategy="ddp", callbacks=[witness], **shared)
    ended = command("fit", "-c", path, PYTHONPATH=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    two = load_generator(str(next((tmp_path / "two").rglob("generator"))))
    assert two.to_pixels.weight.any()
    seen = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    for name, value in two.state_dict().items():
        assert torch.equal(value, seen[0]["weights"][name]), name
        assert torch.equal(value, seen[1]["weights"][name]), name
    first, second = (set(rank["pictures"][:2]) for rank in seen)
    assert first.isdisjoint(second), "the ranks must not see the same pictures in an epoch"

    path = config(callbacks=[], default_root_dir=str(tmp_path / "one"), max_steps=6)
    main(["fit", "-c", str(path), "--data.init_args.batch_size", "4"])
    one = load_generator(str(next((tmp_path / "one").rglob("generator"))))
    with torch.no_grad():
        one, two = (generator(portraits) for generator in (one, two))
    assert one.abs().max() > 0.1 / 255
    assert (one - two).abs().mean() < 0.01 * one.abs().mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [["torchrun", "--standalone", "--nproc_per_node", "2"], ["fabric", "run", "--devices", "2"]],
)
def test_launchers_start_the_same_job(config, tmp_path, launcher):
    path = config(devices=2, strategy="ddp", max_steps=3, callbacks=[])
    program = [str(Path(sys.executable).parent / launcher[0]), *launcher[1:]]
    program += (
        ["--main-port", str(free_port()), "rid/__main__.py"]
        if launcher[0] == "fabric"
        else ["-m", "rid"]
    )
    ended = subprocess.run(
        [*program, "fit", "-c", str(path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    folders = list((tmp_path / "run").rglob("generator"))
    assert len(folders) == 1
    assert load_generator(str(folders[0])).to_pixels.weight.any()


@pytest.mark.slow
def test_torchrun_with_the_wrong_number_of_devices_is_refused(config, tmp_path):
    program = [
        str(Path(sys.executable).parent / "torchrun"),
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "rid",
    ]
    ended = subprocess.run(
        [*program, "fit", "-c", str(config()), "--trainer.devices", "1"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode
    assert (
        "error: the launcher started 2 processes, but trainer.devices x trainer.num_nodes is 1"
        in ended.stderr
    )
    assert not list((tmp_path / "run").rglob("generator"))


@pytest.mark.slow
def test_a_killed_run_goes_on_from_last_to_the_same_weights(config, tmp_path):
    saving = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"every_n_train_steps": 2, "save_last": True},
    }
    averaging = {
        "class_path": "lightning.pytorch.callbacks.EMAWeightAveraging",
        "init_args": {"decay": 0.5},
    }
    path = config(
        max_steps=12, callbacks=[saving, averaging], default_root_dir=str(tmp_path / "cut")
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "rid", "fit", "-c", str(path)],
        cwd=ROOT,
        env=os.environ
        | {
            "OMP_NUM_THREADS": "1"
        },  # as in command: another number of threads sums in another order
        stdout=subprocess.DEVNULL,
    )
    while not list((tmp_path / "cut").rglob("last.ckpt")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "cut").rglob("generator")), "it was killed before its end"
    newest = max((tmp_path / "cut").rglob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    (newest.parent / "torn.ckpt").write_bytes(newest.read_bytes()[:1000])
    main(["fit", "-c", str(path), "--ckpt_path", "last"])
    main(["fit", "-c", str(path), "--trainer.default_root_dir", str(tmp_path / "whole")])
    cut, whole = (
        load_generator(str(next((tmp_path / name).rglob("generator")))) for name in ("cut", "whole")
    )
    for (name, a), b in zip(whole.state_dict().items(), cut.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_last_without_a_checkpoint_is_told(config, capsys):
    assert run(door, ["fit", "-c", str(config(max_steps=3)), "--ckpt_path", "last"]) == 2
    assert "no complete checkpoint below" in capsys.readouterr().err


def test_the_saved_config_holds_what_was_run(config, tmp_path):
    cli = main(["fit", "-c", str(config(max_steps=3, val_check_interval=3)), "--model.lr", "0.002"])
    logged = {
        name for name in cli.trainer.callback_metrics if name.startswith("val/denoising_protected")
    }
    assert logged == {
        "val/denoising_protected",
        *(f"val/denoising_protected/{name}" for name in ("a1", "a2", "b")),
    }
    saved = yaml.safe_load((Path(cli.trainer.log_dir) / "fit.yaml").read_text())
    assert saved["model"]["lr"] == 0.002
    assert json.dumps(saved["trainer"]["max_steps"]) == "3"


@pytest.mark.parametrize("kind", ["missing", "text", "wrapped"])
def test_checkpoints_that_cannot_be_resumed(config, tmp_path, kind, capsys):
    path, file = str(config(max_steps=3)), tmp_path / "some.ckpt"
    if kind == "text":
        file.write_text("not a checkpoint")
    if kind == "wrapped":
        torch.save({"state_dict": {"module.generator.modulation": torch.zeros(1)}}, file)
    assert run(door, ["fit", "-c", path, "--ckpt_path", str(file)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert {
        "missing": "no such file",
        "text": "not a training checkpoint",
        "wrapped": "does not fit",
    }[kind] in told[0]

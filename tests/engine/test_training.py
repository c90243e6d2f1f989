"""Launchers: every way to ask for devices is refused or right when N processes were started."""

import pytest
import torch
import yaml
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

from engine.training import TrainingCLI, launched_processes

LAUNCHERS = {
    "torchrun": {
        "WORLD_SIZE": "2",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "TORCHELASTIC_RUN_ID": "x",
        "GROUP_RANK": "0",
    },
    "bare": {"WORLD_SIZE": "2"},
    "slurm": {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_JOB_NAME": "fit",
        "SLURM_JOB_ID": "7",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NODELIST": "here",
    },
}


def build(monkeypatch, tmp_path, launcher, devices, where):
    """Build the trainer under a launcher, with devices from a flag, YAML or the environment."""
    for name, value in LAUNCHERS.get(launcher, {}).items():
        monkeypatch.setenv(name, value)
    settings = {"accelerator": "cpu", "logger": False, "default_root_dir": str(tmp_path)}
    arguments = []
    if where == "yaml":
        settings["devices"] = devices
    if where == "flag":
        arguments = ["--trainer.devices", str(devices)]
    if where == "environment":
        for name in ("PL_TRAINER__DEVICES", "PL_TRAINER_DEVICES"):
            monkeypatch.setenv(name, str(devices))
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"trainer": settings}))
    return TrainingCLI(
        BoringModel,
        BoringDataModule,
        "test",
        [],
        torch.load,
        args=["-c", str(path), *arguments],
        run=False,
    ).trainer


@pytest.mark.parametrize("where", ["yaml", "flag", "environment"])
@pytest.mark.parametrize("devices", [1, "1", "auto", -1, "-1", "0,1", [0], [0, 1], 3])
@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_a_launch_that_would_train_apart_is_refused(
    monkeypatch, tmp_path, launcher, devices, where
):
    with pytest.raises(ValueError, match=r"launcher started 2 processes|trainer: .*devices"):
        build(monkeypatch, tmp_path, launcher, devices, where)


@pytest.mark.parametrize("where", ["yaml", "flag"])
@pytest.mark.parametrize("devices", [2, "2"])
@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_the_number_that_was_started_is_right(monkeypatch, tmp_path, launcher, devices, where):
    assert build(monkeypatch, tmp_path, launcher, devices, where).num_devices == 2


@pytest.mark.parametrize("devices", [1, "1", "auto", 2, "2"])
def test_without_a_launcher_any_number_is_right(monkeypatch, tmp_path, devices):
    build(monkeypatch, tmp_path, "none", devices, "flag")


def test_torchrun_counts_within_slurm(monkeypatch):
    for launcher in ("slurm", "torchrun"):
        for name, value in LAUNCHERS[launcher].items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert launched_processes() == 2
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert launched_processes() == 1

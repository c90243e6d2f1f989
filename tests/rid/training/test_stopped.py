"""SIGTERM during fit: exit code 143, a checkpoint, and a resumed run with equal results."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rid.training.cli import main
from rid.weights import load_generator

ROOT = Path(__file__).parents[3]

PROGRESS = """
import time
from pathlib import Path
from lightning import Callback

class Progress(Callback):
    \"\"\"Write the progress slowly, so that a signal meets a chosen moment.\"\"\"

    def __init__(self, folder: str, seconds: float = 0.3) -> None:
        self.folder, self.seconds = Path(folder), seconds

    def on_train_batch_start(self, trainer, task, batch, index):
        if trainer.is_global_zero:
            (self.folder / f"batch-{trainer.fit_loop.epoch_loop.total_batch_idx}").touch()
        time.sleep(self.seconds)

    def on_validation_batch_end(self, trainer, task, *_):
        if not trainer.sanity_checking:
            (self.folder / f"validating-{trainer.global_step}").touch()
            time.sleep(self.seconds)
"""

EMA = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.5}}


@pytest.fixture
def run(config, tmp_path):
    (tmp_path / "progress.py").write_text(PROGRESS)
    (tmp_path / "marks").mkdir()

    def start(*arguments, launcher=(sys.executable, "-m", "rid"), **trainer):
        marks = {"folder": str(tmp_path / "marks")}
        progress = {"class_path": "progress.Progress", "init_args": marks}
        path = config(callbacks=[EMA, progress], **trainer)
        return subprocess.Popen(
            [*launcher, "fit", "-c", str(path), *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def stopped_at(process, mark):
    """Wait for a mark, send SIGTERM, and return exit code and stderr."""
    while not mark.exists():
        assert process.poll() is None, process.stderr.read()[-2000:]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def weights(folder):
    return load_generator(str(next(folder.rglob("generator")))).state_dict()


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.slow
def test_a_fit_that_is_stopped_again_and_again_ends_in_the_same_weights(run, config, tmp_path):
    settings = {
        "accumulate_grad_batches": 2,
        "max_steps": 8,
        "val_check_interval": 2,
        "limit_val_batches": 3,
    }
    cut, more = {"default_root_dir": str(tmp_path / "cut")}, []
    # in an accumulated step, in a validation under averaged weights, and at the end of a step
    for mark, step in (("batch-2", 1), ("validating-4", 4), ("batch-11", 7)):
        shutil.rmtree(tmp_path / "marks")
        (tmp_path / "marks").mkdir()
        code, said = stopped_at(run(*more, **settings, **cut), tmp_path / "marks" / mark)
        assert code == 143, said[-2000:]
        lines = [line for line in said.splitlines() if "SIGTERM" in line]
        assert len(lines) == 1
        found = re.search(
            r"stopped by SIGTERM after step (\d+): (.*last\.ckpt) is written; "
            r".* --ckpt_path last goes on",
            lines[0],
        )
        assert found is not None, lines
        assert int(found[1]) in (step, step + 1), "a slow machine may be one step further"
        assert Path(found[2]).is_file()
        assert not list((tmp_path / "cut").rglob("generator"))
        more = ["--ckpt_path", "last"]
    for arguments, root in ((more, cut), ([], {"default_root_dir": str(tmp_path / "whole")})):
        path = config(callbacks=[EMA], **settings, **root)
        main(["fit", "-c", str(path), *arguments])
    assert equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        (sys.executable, "-m", "rid"),
        ("torchrun", "--standalone", "--nproc_per_node", "2", "-m", "rid"),
    ],
)
def test_all_processes_stop_together(run, tmp_path, launcher):
    program = (
        (str(Path(sys.executable).parent / launcher[0]), *launcher[1:])
        if launcher[0] == "torchrun"
        else launcher
    )
    process = run(launcher=program, devices=2, strategy="ddp", max_steps=1000)
    code, said = stopped_at(process, tmp_path / "marks" / "batch-3")
    assert code == 143 or launcher[0] == "torchrun", said[-2000:]
    assert code
    assert (
        len(re.findall(r"stopped by SIGTERM after step \d+: .*last\.ckpt is written", said)) == 1
    ), said[-2000:]
    state = torch.load(next((tmp_path / "run").rglob("last.ckpt")), weights_only=True)
    assert state["global_step"] >= 3

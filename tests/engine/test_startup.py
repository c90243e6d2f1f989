"""Commands of a laptop import nothing that they do not use.

The tests count modules, as times differ between machines.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]

SLOW = (
    "lightning",
    "torchvision",
    "diffusers",
    "torch._dynamo",
    "timm",
    "kornia",
    "transformers",
    "torchmetrics",
    "scipy",
    "matplotlib",
)
"""Each takes as long to import as torch itself, or longer; several of them import one another."""

SCRIPT = """
import json, sys
from importlib import import_module
room, *arguments = sys.argv[1:]
code = import_module(room + ".__main__").main(arguments)
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported(*command, folder=ROOT):
    """Run a command in a new process; return its exit code and the imported modules."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules), done


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.effect_noise((80, 80), 40 + number).convert("RGB").save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "rid protect PHOTOS -o OUT",
        "detectors scan PHOTOS -o OUT.csv --weights checkpoints/tiny/detector",
        "indexing search PHOTOS -o OUT.csv --index checkpoints/tiny/index",
        "indexing extract PHOTOS -o OUT",
        "sentinels embed PHOTOS -o OUT --weights checkpoints/tiny/embedder",
    ],
)
def test_jobs_in_one_process_import_nothing_slow(command, photos, tmp_path):
    places = {"PHOTOS": photos, "OUT": tmp_path / "out", "OUT.csv": tmp_path / "out.csv"}
    code, modules, done = imported(
        *(places.get(word, word) for word in command.split()), "--accelerator", "cpu"
    )
    assert (code, done.stdout.startswith("3 ")) == (0, True)
    assert "torch" in modules
    assert [name for name in SLOW if name in modules] == []


@pytest.mark.parametrize(
    "command",
    [
        "rid protect --help",
        "rid fit --help",
        "eval demo --help",
        "rid --version",
        "rid protect --version",
        "rid",
        "eval metrics",
        "rid protcet",
    ],
)
def test_help_versions_and_mistakes_import_no_torch(command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    modules = {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "engine.cli" in modules
    assert not modules & {"torch", "numpy", *SLOW}


def test_light_settings_are_checked_before_torch_is_imported():
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "rid",
            "protect",
            "P/",
            "-o",
            "O/",
            "--resize-mode",
            "rezise",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: --resize-mode: 'rezise' is not one of auto, resize, ")
    assert error.endswith("; did you mean resize?")
    assert "torch" not in {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

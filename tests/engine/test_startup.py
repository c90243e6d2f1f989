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
import io, json, sys
from contextlib import redirect_stdout
from importlib import import_module
for line in sys.stdin:
    room, *arguments = json.loads(line)
    with redirect_stdout(io.StringIO()) as said:
        code = import_module(room + ".__main__").main(arguments)
    print(json.dumps([code, said.getvalue(), sorted(sys.modules)]), flush=True)
"""

JOBS = [
    "rid protect PHOTOS -o OUT",
    "detectors scan PHOTOS -o OUT.csv --weights checkpoints/tiny/detector",
    "indexing search PHOTOS -o OUT.csv --index checkpoints/tiny/index",
    "indexing extract PHOTOS -o OUT",
    "sentinels embed PHOTOS -o OUT --weights checkpoints/tiny/embedder",
]


def test_jobs_in_one_process_import_nothing_slow(tmp_path):
    """The jobs follow one another in a new process; the first that imports too much is named."""
    for number in range(3):
        image = Image.effect_noise((80, 80), 40 + number).convert("RGB")
        (tmp_path / "photos").mkdir(exist_ok=True)
        image.save(tmp_path / "photos" / f"{number}.png")
    lines = []
    for number, job in enumerate(JOBS):
        output = tmp_path / f"out{number}"
        places = {"PHOTOS": tmp_path / "photos", "OUT": output, "OUT.csv": f"{output}.csv"}
        words = [str(places.get(word, word)) for word in job.split()]
        lines.append(json.dumps([*words, "--accelerator", "cpu"]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(JOBS), done.stderr[-2000:]
    for job, (code, said, modules) in zip(JOBS, answers, strict=True):
        assert (code, said[:2]) == (0, "3 "), job
        assert "torch" in modules
        assert [name for name in SLOW if name in modules] == [], job


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

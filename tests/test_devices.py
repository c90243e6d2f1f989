"""Jobs write the same files with one process, ``--devices 2``, torchrun and ``fabric run``."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.cli import run
from images.io import save_png
from images.photo import Photo
from indexing.__main__ import main as indexing
from models.copy_net import CopyNet
from tests.conftest import ROOT, SHIPPED
from tests.ports import free_port

BIN = Path(sys.executable).parent

VERBS = {
    "protect": [
        "rid",
        "protect",
        "PHOTOS",
        "-o",
        "OUT/protected",
        "--weights",
        str(SHIPPED / "rid"),
    ],
    "scan": [
        "detectors",
        "scan",
        "PHOTOS",
        "-o",
        "OUT/scores.csv",
        "--html",
        "--weights",
        str(SHIPPED / "detector"),
    ],
    "activate": [
        "indexing",
        "activate",
        "PHOTOS",
        "-o",
        "OUT/active",
        "--index",
        str(SHIPPED / "index"),
        "--activation.iterations=2",
    ],
    "retrieval": [
        *(
            "eval",
            "retrieval",
            "-o",
            "OUT/retrieval",
            "--index",
            "WORLD/index",
            "--originals",
            "WORLD/originals",
            "--k",
            "5",
        ),
        *("--arms.released", "PHOTOS", "--extractor.name", "WORLD/extractor", "--resamples", "20"),
        *("--distractor-queries", "WORLD/strangers"),
    ],
    "embed": [
        "sentinels",
        "embed",
        "PHOTOS",
        "-o",
        "OUT/vectors",
        "--weights",
        str(SHIPPED / "embedder"),
    ],
}

LAUNCHERS = {
    "devices": lambda room: [str(BIN / "python"), "-m", room],
    "torchrun": lambda room: [
        str(BIN / "torchrun"),
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        room,
    ],
    "fabric": lambda room: [
        *(str(BIN / "fabric"), "run", "--devices", "2", "--accelerator", "cpu"),
        *("--main-port", str(free_port()), f"{room}/__main__.py"),
    ],
}


@pytest.fixture(scope="module")
def photos(portraits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, levels in enumerate((portraits * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        save_png(Photo(levels), folder / f"{number}.png")
    (folder / "5.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def world(photos, tmp_path_factory):
    """An index with the whole photos in it, and its extractor."""
    root = tmp_path_factory.mktemp("world")
    torch.manual_seed(3)
    network = CopyNet(image_size=32, channels=(8, 16), descriptor=16)
    network.train()(torch.randn(64, 3, 32, 32))
    network.eval().save_pretrained(root / "extractor")
    shutil.copytree(photos, root / "originals")
    shutil.copy(photos / "0.png", root / "originals" / "5.png")
    (root / "strangers").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        save_png(Photo(noise), root / "strangers" / f"{number}.png")
    originals = [
        f"{root}/originals",
        "-o",
        f"{root}/features",
        "--extractor.name",
        f"{root}/extractor",
        "--workers=0",
    ]
    assert run(indexing, ["extract", *originals]) == 0
    assert (
        run(
            indexing, ["build", f"{root}/features", "-o", f"{root}/index", "--factory", "IVF2,Flat"]
        )
        == 0
    )
    return root


def start(launcher, verb, photos, world, output):
    """Run a verb in two processes of its own, or in this one; the exit code."""
    places = {"PHOTOS": photos, "OUT": output, "WORLD": world}
    room, *words = (
        re.sub("PHOTOS|OUT|WORLD", lambda name: str(places[name.group()]), word)
        for word in VERBS[verb]
    )
    words += ["--accelerator", "cpu", "--batch-size", "2", "--workers", "0"]
    if launcher == "one":
        with redirect_stderr(io.StringIO()) as told:
            code = run(import_module(f"{room}.__main__").main, words)
        assert "5.png" in told.getvalue()
        return code
    words += ["--devices", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*LAUNCHERS[launcher](room), *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5.png" in done.stderr
    return done.returncode


def files(folder):
    """Contents of all files by name; a manifest without its times and places."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    for name in found:
        if name.endswith("manifest.json"):
            manifest = json.loads(found[name])
            found[name] = {
                key: manifest[key]
                for key in ("command", "finished", "settings", "counts", "failed")
            }
    return found


@pytest.fixture(scope="module")
def alone(photos, world, tmp_path_factory):
    """What one process makes, by verb."""
    made = {}

    def of(verb):
        if verb not in made:
            output = tmp_path_factory.mktemp(verb)
            assert start("one", verb, photos, world, output) == 1, "one image is damaged"
            made[verb] = files(output)
            assert len(made[verb]) > 2
        return made[verb]

    return of


RUNS = [
    *(("devices", verb) for verb in VERBS),
    *(("torchrun", verb) for verb in ("protect", "scan", "retrieval")),
    *(("fabric", verb) for verb in ("activate", "embed")),
]
"""Every verb by ``--devices``, and by one more launcher; tests/engine/test_job.py tries all."""


@pytest.mark.parametrize(("launcher", "verb"), RUNS)
def test_two_processes_write_what_one_writes(verb, launcher, photos, world, alone, tmp_path):
    code = start(launcher, verb, photos, world, tmp_path)
    assert code == 1 or launcher == "fabric"
    found, expected = files(tmp_path), alone(verb)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []

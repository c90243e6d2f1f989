"""Every example runs as its header says, and comes to what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(file.stem for file in (ROOT / "examples").glob("*.py"))


def run(name, *arguments):
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_protect(tmp_path):
    said = run("protect", tmp_path)
    assert re.search(r"largest change [1-6] of 255 levels, budget 6", said)
    original, protected = (
        np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int)
        for name in ("original", "protected")
    )
    assert 0 < np.abs(original - protected).max() <= 6


def test_train_detector(tmp_path):
    said = run("train_detector", tmp_path)
    assert float(re.search(r"AUC on portraits of other people: (\S+)", said)[1]) > 0.65
    assert (tmp_path / "detector" / "model.safetensors").is_file()
    assert "P(generated) = 0." in said


def test_find_copies(tmp_path):
    said = run("find_copies", tmp_path)
    assert "\n1. mine: " in said
    before, after = map(float, re.search(r"(\S+) before, (\S+) after", said).groups())
    assert after < before
    assert (tmp_path / "activated.png").is_file()


def test_decide_sentinels():
    said = run("decide_sentinels")
    assert re.search(r"keys read back: [6-8] of 8", said)
    assert "thief: used" in said
    assert "honest: no evidence of use" in said


@pytest.mark.parametrize("name", EXAMPLES)
def test_headers_say_how_to_run_it(name):
    text = (ROOT / "examples" / f"{name}.py").read_text()
    assert f"    python -m examples.{name}" in text
    assert len(text.splitlines()) < 90
    assert f"def test_{name}(" in Path(__file__).read_text()

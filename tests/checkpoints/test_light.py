"""What importing the rooms below every command brings along."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "lightning",
    "torchvision",
    "transformers",
    "diffusers",
    "accelerate",
    "timm",
    "httpx2",
    "huggingface_hub.hf_api",
    "torch._dynamo",
)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("checkpoints.folders", ("torch", "numpy", *HEAVY)),
        ("checkpoints.pull", ("torch", "numpy", *HEAVY)),
        ("checkpoints.saved", HEAVY),
        ("rid.weights", HEAVY),
    ],
)
def test_nothing_heavy_is_imported(module, absent):
    program = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

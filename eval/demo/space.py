"""Folder of a Space, or of a container, written by ``python -m eval.demo.space OUT/``."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from engine.cli.noise import ROOMS
from engine.files import read_text, refuse_existing, write_text

ROOT = Path(__file__).parents[2]

FILES = Path(__file__).with_name("space_files")

NEEDED_ROOMS = [room for room in ROOMS if room != "tiny"]

LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "tiny", "space_files")

MODELS = ("rid", "detector", "index", "copies", "embedder", "faces", "sd-a1")
"""Small models that the tabs need."""

REQUIREMENTS = ("requirements.txt", "requirements-pages.txt")

PILLOW = "pillow==12.3.0"
"""Newest Pillow that Gradio accepts, in place of ours: pip knows no overrides."""


def write_space(target: Path) -> None:
    """Write the folder: code, small models, ``app.py``, requirements, README and Containerfile.

    Args:
        target: Folder to write; must not exist.

    Raises:
        ValueError: If it exists.
    """
    refuse_existing(target)
    for room in NEEDED_ROOMS:
        shutil.copytree(ROOT / room, target / room, ignore=LEFT_OUT)
    for name in MODELS:
        shutil.copytree(ROOT / "checkpoints" / "tiny" / name, target / "checkpoints/tiny" / name)
    shutil.copyfile(ROOT / "LICENSE", target / "LICENSE")
    for file in ("app.py", "Containerfile"):
        shutil.copyfile(FILES / file, target / file)
    lines = requirements()
    write_text(target / "requirements.txt", "\n".join(lines) + "\n")
    [gradio] = [line for line in lines if line.startswith("gradio==")]
    card = read_text(FILES / "README.md")
    write_text(target / "README.md", card.replace("SDK_VERSION", gradio.removeprefix("gradio==")))


def requirements() -> list[str]:
    """List what the demo needs, so that pip can install it."""
    lines = []
    for name in REQUIREMENTS:
        for line in read_text(ROOT / name).splitlines():
            requirement = line.partition("#")[0].strip()
            if requirement:
                lines.append(re.sub(r"^pillow==.*", PILLOW, requirement))
    return lines


if __name__ == "__main__":
    write_space(Path(sys.argv[1]))
    print(f"a Space in {sys.argv[1]}: upload it, or build its Containerfile")

"""Generators of edits."""

import subprocess
import sys

import numpy as np

from images.transforms import edit_generator

HEAVY = ("torch", "torchvision", "kornia", "matplotlib", "lightning")


def drawn(*arguments):
    return edit_generator(*arguments).integers(0, 2**32, 4).tolist()


def test_a_generator_depends_on_seed_name_and_number_alone():
    assert drawn(3, "a.png", 1) == drawn(3, "a.png", 1)
    others = [drawn(4, "a.png", 1), drawn(3, "b.png", 1), drawn(3, "a.png")]
    assert drawn(3, "a.png", 1) not in others
    assert (
        drawn(0, "a.png")
        == np.random.default_rng([0, 1589947247, 0]).integers(0, 2**32, 4).tolist()
    )


def test_a_name_need_not_be_utf_8():
    assert drawn(0, "caf\udce9.jpg") != drawn(0, "caf.jpg")


def test_edits_are_imported_without_heavy_libraries():
    source = (
        f"import images.transforms.views, sys; print([name for name in {HEAVY} if name in "
        "sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"

"""Files of a protection study: images and numbers of each person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from engine.records import read_json
from images.io import Photo, open_photo, save_png, to_uint8


def result_file(output: Path, name: str) -> Path:
    """Where a person's numbers are, once everything about the person is written."""
    return output / "people" / name / "result.json"


def save_all(images: Tensor, stem: Path) -> None:
    """Save (B, 3, H, W) pictures in [0, 1] as ``STEM_00.png``, ``STEM_01.png`` and so on."""
    for index, levels in enumerate(to_uint8(images).cpu()):
        save_png(
            Photo(levels.permute(1, 2, 0).numpy()), stem.with_name(f"{stem.name}_{index:02d}.png")
        )


def all_pictures(output: Path, kind: str) -> Tensor:
    """Every finished person's pictures of a kind, such as ``rid/generated`` or ``original``, (n, 3, H, W) in [0, 1]."""
    files = [
        file
        for result in read_results(output)
        for file in sorted((output / "people" / result["name"]).glob(f"{kind}_*.png"))
    ]
    return torch.stack([open_photo(file).tensor() for file in files])


class PersonResult(TypedDict):
    """The numbers of one person: by arm, the value of each metric; and the ISM between the person's real pictures."""

    name: str
    measured: dict[str, dict[str, float]]
    real_ism: float


REMEDY = "delete this person's result.json and start the study again with the same settings"


def read_results(output: Path) -> list[PersonResult]:
    """The finished persons of a study, by name.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If one is damaged.
    """
    files = sorted(output.glob("people/*/result.json"))
    if not files:
        msg = f"{output}: no finished persons here; run 'python -m eval personalize' with this output folder first"
        raise FileNotFoundError(msg)
    results = [read_json(file, PersonResult, REMEDY) for file in files]
    arms = {arm: set(measured) for arm, measured in results[0]["measured"].items()}
    for file, result in zip(files, results, strict=True):
        if result["name"] != file.parent.name:
            msg = f"{file}: of {result['name']!r}, who has another folder; {REMEDY}"
            raise ValueError(msg)
        if (
            {arm: set(measured) for arm, measured in result["measured"].items()} != arms
            or not all(arms.values())
            or not arms
        ):
            msg = f"{file}: has other arms or metrics than {files[0]}, or none; {REMEDY}"
            raise ValueError(msg)
    return results


def mean_of(results: Sequence[PersonResult], arm: str, metric: str) -> float:
    """Mean of a metric over the persons for whom it is a number; NaN if there are none."""
    values = [result["measured"][arm][metric] for result in results]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")

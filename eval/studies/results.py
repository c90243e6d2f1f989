"""Files of a protection study: images and numbers of each person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import torch
from torch import Tensor

from engine.manifest import read_manifest
from engine.records import read_json
from images.io import open_photo, save_png, to_rgb
from images.photo import Photo

REMEDY = "delete this person's result.json and start the study again with the same settings"


class PersonResult(TypedDict):
    """Numbers of one person.

    ``measured`` has the values of all metrics by arm. ``real_ism`` is the ISM between the person's
    real images, NaN if the face detector computes no embeddings. ``references`` is the number of
    real images that an ISM is measured against. ``minutes`` has the duration of purification,
    attack and measurement by arm.
    """

    name: str
    measured: dict[str, dict[str, float]]
    real_ism: float
    references: NotRequired[int]
    minutes: NotRequired[dict[str, float]]


class StoredResult(TypedDict):
    """Numbers of one person as stored in JSON.

    JSON has no NaN or infinity, so a number that is not finite is null.
    """

    name: str
    measured: dict[str, dict[str, float | None]]
    real_ism: float | None
    references: NotRequired[int]
    minutes: NotRequired[dict[str, float]]


def result_file(output: Path, name: str) -> Path:
    """Path of a person's numbers, which are written last."""
    return output / "people" / name / "result.json"


def check_finished(output: Path) -> None:
    """Refuse a study that was stopped before its end, at which its persons are known.

    Raises:
        ValueError: If it was, or its manifest is damaged.
    """
    if not (read_manifest(output) or {}).get("finished"):
        msg = (
            f"{output}: the study was stopped before its end; "
            "start it again with the same settings and -o to finish it"
        )
        raise ValueError(msg)


def people_of(output: Path) -> list[str]:
    """Names of the finished persons of a study, sorted.

    Persons whose images the study is no longer given are left out; their files stay in the folder.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If the manifest is damaged.
    """
    gone = set((read_manifest(output) or {}).get("stale", ()))
    found = sorted(file.parent.name for file in output.glob("people/*/result.json"))
    names = [name for name in found if name not in gone]
    if not names:
        msg = (
            f"{output}: no finished persons here; "
            "run 'python -m eval personalize' with this output folder first"
        )
        raise FileNotFoundError(msg)
    return names


def save_all(images: Tensor, stem: Path) -> None:
    """Save images as ``STEM_00.png``, ``STEM_01.png`` and so on.

    Args:
        images: (B, 3, H, W) in [0, 1].
        stem: Path without number and ending.
    """
    for index, image in enumerate(images):
        file = stem.with_name(f"{stem.name}_{index:02d}.png")
        save_png(Photo(to_rgb(image)), file)


def load_all(output: Path, kind: str) -> Tensor:
    """Load one kind of images of all finished persons.

    Args:
        output: The study's folder.
        kind: Such as ``rid/generated`` or ``original``.

    Returns:
        (n, 3, H, W) in [0, 1].
    """
    images = []
    for result in read_results(output):
        folder = output / "people" / result["name"]
        images += [open_photo(file).tensor() for file in sorted(folder.glob(f"{kind}_*.png"))]
    return torch.stack(images)


def read_results(output: Path) -> list[PersonResult]:
    """Read the numbers of all finished persons of a study, by name; see :func:`people_of`.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a file is damaged.
    """
    files = [result_file(output, name) for name in people_of(output)]
    results = [_from_json(read_json(file, StoredResult, REMEDY)) for file in files]
    expected = _metric_names(results[0])
    for file, result in zip(files, results, strict=True):
        if result["name"] != file.parent.name:
            msg = f"{file}: holds results of {result['name']!r}, who has another folder; {REMEDY}"
            raise ValueError(msg)
        names = _metric_names(result)
        if not names or not all(names.values()) or names != expected:
            msg = f"{file}: has other arms or metrics than {files[0]}, or none; {REMEDY}"
            raise ValueError(msg)
    return results


def mean_of(results: Sequence[PersonResult], arm: str, metric: str) -> float:
    """Mean of a metric over persons.

    NaN values are left out; NaN if there are no others.

    Args:
        results: Numbers of the persons.
        arm: Name of the arm.
        metric: Name of the metric.
    """
    values = [result["measured"][arm][metric] for result in results]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def _metric_names(result: PersonResult) -> dict[str, set[str]]:
    """Names of the metrics by arm."""
    return {arm: set(values) for arm, values in result["measured"].items()}


def _from_json(stored: StoredResult) -> PersonResult:
    """Read null as NaN.

    A null PSNR of unchanged images is infinity.
    """
    measured: dict[str, dict[str, float]] = {}
    for arm, values in stored["measured"].items():
        unchanged = values.get("levels") == 0
        measured[arm] = {}
        for metric, value in values.items():
            missing = math.inf if metric == "psnr" and unchanged else math.nan
            measured[arm][metric] = missing if value is None else value
    real_ism = math.nan if stored["real_ism"] is None else stored["real_ism"]
    result = PersonResult(name=stored["name"], measured=measured, real_ism=real_ism)
    if "references" in stored:
        result["references"] = stored["references"]
    if "minutes" in stored:
        result["minutes"] = stored["minutes"]
    return result

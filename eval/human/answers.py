"""``python -m eval answers``: figures of a human test.

A detector can be scored on the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkpoints.folders import model_path
from detectors.detector import Detector
from engine.files import open_for_reading, write_text
from engine.manifest import fingerprint
from engine.records import to_json
from engine.statistics import bootstrap_interval
from eval.human.design import Design, design_of
from eval.human.figures import FIGURES, crossing_of
from eval.human.pictures import SERVED, Stimulus
from eval.human.statistics import confusion
from eval.human.store import Answer, Store
from eval.human.tables import as_csv, scores
from images.io import decode_photo


def analyse(output: Path, detector: str | None = None) -> dict[str, Any]:
    """Write ``answers.csv`` and ``summary.json``.

    A study of kind ``label`` also gets ``human_scores.csv``, which the leaderboard reads.

    Args:
        output: Folder of the study.
        detector: Folder or Hub id of a detector to be scored on the served images; only for kind
            ``label``.

    Returns:
        The record in ``summary.json``.

    Raises:
        FileNotFoundError: If there is no study.
        ValueError: If nobody has answered yet, or the detector does not fit the study.
    """
    store = Store(output / "study.sqlite")
    if not store.file.is_file():
        msg = (
            f"{output}: no study.sqlite here; "
            "run python -m eval study with this output folder first"
        )
        raise FileNotFoundError(msg)
    design = design_of(output)
    answers = store.answers()
    stimuli = store.stimuli()
    if not answers:
        msg = f"{output}: nobody has answered a question yet"
        raise ValueError(msg)
    if detector is not None and design.kind != "label":
        msg = (
            f"a detector answers for single pictures; this study is of kind {design.kind}: "
            "leave --detector out"
        )
        raise ValueError(msg)

    # Figures of the answers.
    write_text(output / "answers.csv", as_csv(answers, stimuli))
    record: dict[str, Any] = {
        "kind": design.kind,
        "people": len({answer.participant for answer in answers}),
        **store.participation(),
        "images": len(set(crossing_of(design, answers, stimuli).images)),
        "answers": len(answers),
    }
    record["seconds_median"] = float(np.median([answer.seconds for answer in answers]))
    record |= FIGURES[design.kind](design, answers, stimuli)

    # Files for the leaderboard, and a detector's figures.
    if design.kind == "label":
        write_text(output / "human_scores.csv", scores(design, answers, stimuli))
    if detector is not None:
        record["detector"] = detector_figures(design, answers, stimuli, output / SERVED, detector)
    write_text(output / "summary.json", to_json(record))
    return record


def detector_figures(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus], folder: Path, name: str
) -> dict[str, Any]:
    """Figures of a detector on the served files.

    Each distinct image counts once.

    Args:
        design: Design of the study, of kind ``label``.
        answers: Answers of all people.
        stimuli: Images of the study, by number.
        folder: Folder of the served files.
        name: Folder or Hub id of the detector.
    """
    # Probability that each image is of the target class, from the file that people saw.
    detector = Detector.from_pretrained(name)
    numbers = sorted({answer.pictures[0] for answer in answers})
    machine = np.zeros(len(numbers))
    for index, number in enumerate(numbers):
        file = folder / f"{number}.bin"
        with open_for_reading(file) as stream:
            image = decode_photo(stream, str(file)).tensor()
        machine[index] = float(detector.probability(image.unsqueeze(0))[0])
    if design.target != design.generated:
        machine = 1 - machine
    truth = [stimuli[number].label == design.target for number in numbers]
    record = confusion(truth, machine >= 0.5)

    # Share of people who took each image for the target class.
    choices: dict[int, list[bool]] = {}
    for answer in answers:
        choices.setdefault(answer.pictures[0], []).append(answer.choice == design.target)
    people = np.array([np.mean(choices[number]) for number in numbers])
    record |= {
        "name": name,
        "weights": fingerprint(name, model_path(name))["sha256"],
        "images": len(numbers),
        "calibrated_on": detector.calibration.images,
    }
    return record | _agreement(people, machine)


def _agreement(people: NDArray[np.float64], machine: NDArray[np.float64]) -> dict[str, Any]:
    """Rank correlation of people's and a detector's answers, with its interval.

    Args:
        people: (N,) share of people who took each image for the target class.
        machine: (N,) the detector's probability that each image is of the target class.
    """
    from scipy.stats import spearmanr

    def correlation(rows: NDArray[np.int64]) -> float:
        if len(rows) < 3 or np.ptp(people[rows]) == 0 or np.ptp(machine[rows]) == 0:
            return np.nan
        return float(spearmanr(people[rows], machine[rows]).statistic)

    coefficient = correlation(np.arange(len(people)))
    if np.isnan(coefficient):
        return {"rank_correlation_with_people": None, "rank_correlation_interval": None}
    interval = bootstrap_interval(correlation, len(people), resamples=400, seed=0)
    return {"rank_correlation_with_people": coefficient, "rank_correlation_interval": interval}

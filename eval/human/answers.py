"""``python -m eval answers``: figures of a human test, beside a detector's on the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.detector import Detector
from engine.files import open_for_reading, write_text
from engine.records import to_json
from engine.statistics import bootstrap_interval, crossed_difference, crossed_interval, crossed_test
from eval.human.design import Design, design_of
from eval.human.pictures import Stimulus
from eval.human.statistics import Crossing, confusion, over_people, share
from eval.human.store import Answer, Store
from eval.human.tables import as_csv, scores
from images.io import decode_photo


def analyse(output: Path, detector: str | None = None) -> dict[str, Any]:
    """Write ``answers.csv``, ``summary.json`` and, for a study of kind ``label``, ``human_scores.csv`` for the leaderboard.

    Args:
        output: The study's folder.
        detector: Folder or Hub id of a detector to be asked about the served pictures; for kind
            ``label``.

    Returns:
        The record that is in ``summary.json``.

    Raises:
        FileNotFoundError: If there is no study.
        ValueError: If nobody has answered yet, or the detector does not fit the study.
    """
    store = Store(output / "study.sqlite")
    if not store.file.is_file():
        msg = f"{output}: no study.sqlite here; run python -m eval study with this output folder first"
        raise FileNotFoundError(msg)
    design = design_of(output)
    answers, stimuli = store.answers(), store.stimuli()
    if not answers:
        msg = f"{output}: nobody has answered a question yet"
        raise ValueError(msg)
    if detector is not None and design.kind != "label":
        msg = f"a detector answers for single pictures; this study is of kind {design.kind}: leave --detector out"
        raise ValueError(msg)
    write_text(output / "answers.csv", as_csv(answers, stimuli))
    record: dict[str, Any] = {
        "kind": design.kind,
        "people": len({answer.participant for answer in answers}),
        "images": len(set(crossing_of(design, answers, stimuli).images)),
        "answers": len(answers),
    }
    record["seconds_median"] = float(np.median([answer.seconds for answer in answers]))
    record |= {"label": labelled, "pair": paired, "rating": rated}[design.kind](
        design, answers, stimuli
    )
    if design.kind == "label":
        write_text(output / "human_scores.csv", scores(design, answers, stimuli))
    if detector is not None:
        record["detector"] = beside(design, answers, stimuli, output / "pictures", detector)
    write_text(output / "summary.json", to_json(record))
    return record


def crossing_of(design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> Crossing:
    """Who answered about what: an image, or, where labels are versions of one item, the item."""
    people = [answer.participant for answer in answers]
    if design.kind == "label":
        return Crossing(people, [answer.pictures[0] for answer in answers])
    return Crossing(people, [stimuli[answer.pictures[0]].item for answer in answers])


def labelled(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Figures of a study that asks for labels, as HPBench's (arXiv 2304.13023, section 5).

    The target class is the positive one.
    """

    def figures(chosen: Sequence[Answer]) -> dict[str, Any]:
        truth = [stimuli[answer.pictures[0]].label == design.target for answer in chosen]
        told = [answer.choice == design.target for answer in chosen]
        return confusion(truth, told, crossing_of(design, chosen, stimuli))

    return figures(answers) | {
        "accuracy_over_people": over_people(
            accuracies(answers, lambda answer: stimuli[answer.pictures[0]].label == answer.choice)
        ),
        "by_category": _groups(
            answers, lambda answer: stimuli[answer.pictures[0]].category, figures
        ),
        "by_answer_about_themselves": _by_about(design, answers, figures),
        "reasons": reasons(design, answers, stimuli),
    }


def reasons(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Share of each reason among all that were named, with who named it and of which image."""
    named = [(answer, reason) for answer in answers for reason in answer.reasons]
    crossing = crossing_of(design, [answer for answer, _ in named], stimuli)
    return {
        wanted: share([reason == wanted for _, reason in named], [True] * len(named), crossing)
        for wanted in design.reasons
    }


def paired(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Figures of a study that asks which of two is the target.

    They are how often it was chosen, and how likely people and pairs that do not tell on average
    would come as far from a half.
    """

    def right(answer: Answer) -> bool:
        return stimuli[answer.pictures[int(answer.choice) - 1]].label == design.target

    def figures(chosen: Sequence[Answer]) -> dict[str, Any]:
        crossing = crossing_of(design, chosen, stimuli)
        every = [True] * len(chosen)
        told = [right(answer) for answer in chosen]
        guessing = crossed_test(crossing.table(told), crossing.table(every), 0.5)
        return {"target_chosen": share(told, every, crossing), "p_guessing": guessing.p}

    first = [answer.choice == "1" for answer in answers]
    return figures(answers) | {
        "target_chosen_over_people": over_people(accuracies(answers, right)),
        "first_chosen": share(first, [True] * len(answers), crossing_of(design, answers, stimuli)),
        "by_category": _groups(
            answers, lambda answer: stimuli[answer.pictures[0]].category, figures
        ),
        "by_answer_about_themselves": _by_about(design, answers, figures),
    }


def rated(design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> dict[str, Any]:
    """Mean rating of each label, and each label's difference from the target's, over people and items at once."""
    crossing = crossing_of(design, answers, stimuli)
    labels = np.array([stimuli[answer.pictures[0]].label for answer in answers])
    ratings = np.array([int(answer.choice) for answer in answers])
    tables = {
        label: (crossing.table(ratings * (labels == label)), crossing.table(labels == label))
        for label in design.labels
        if (labels == label).any()
    }
    record: dict[str, Any] = {"scale": design.scale, "ratings": {}, "differences": {}}
    for label, (total, count) in tables.items():
        record["ratings"][label] = _rating(total, count)
        if label != design.target and design.target in tables:
            found = crossed_difference((total, count), tables[design.target])
            low, high = found.interval or (None, None)
            record["differences"][f"{label} - {design.target}"] = {
                "mean": found.estimate,
                "low": low,
                "high": high,
                "p": found.p,
                "people": found.people,
                "items": found.images,
            }
    return record


def _rating(total: NDArray[np.float64], count: NDArray[np.float64]) -> dict[str, Any]:
    """Mean rating, its interval over people and items, and the means of the people at the ends."""
    asked = count.any(axis=1)
    means = total[asked].sum(axis=1) / count[asked].sum(axis=1)
    interval = crossed_interval(lambda totals: totals[0] / totals[1], np.stack([total, count]))
    low, high = interval or (None, None)
    return {
        "mean": float(total.sum() / count.sum()),
        "low": low,
        "high": high,
        "best": float(means.max()),
        "worst": float(means.min()),
        "people": int(asked.sum()),
        "items": int(count.any(axis=0).sum()),
        "answers": int(count.sum()),
    }


def accuracies(answers: Sequence[Answer], right: Callable[[Answer], bool]) -> list[float]:
    """Every participant's share of right answers."""
    people = sorted({answer.participant for answer in answers})
    return [
        float(np.mean([right(answer) for answer in answers if answer.participant == person]))
        for person in people
    ]


def _groups(
    answers: Sequence[Answer],
    name: Callable[[Answer], str],
    figures: Callable[[Sequence[Answer]], dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    names = sorted({name(answer) for answer in answers})
    return {
        group: figures([answer for answer in answers if name(answer) == group]) for group in names
    }


def _by_about(
    design: Design, answers: Sequence[Answer], figures: Callable[[Sequence[Answer]], dict[str, Any]]
) -> dict[str, Any]:
    def of(asked: str) -> Callable[[Answer], str]:
        return lambda answer: answer.about.get(asked, "")

    return {asked: _groups(answers, of(asked), figures) for asked in design.about}


def beside(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus], folder: Path, name: str
) -> dict[str, Any]:
    """A detector's figures on the very files that people saw, each distinct image counted once."""
    detector = Detector.from_pretrained(name)
    seen = sorted({answer.pictures[0] for answer in answers})
    machine = np.zeros(len(seen))
    for place, number in enumerate(seen):
        file = folder / f"{number}.bin"
        with open_for_reading(file) as stream:
            picture = decode_photo(stream, str(file)).tensor()
        machine[place] = float(detector.probability(picture.unsqueeze(0))[0])
    record = confusion(
        [stimuli[number].label == design.target for number in seen],
        machine >= 0.5,
    )
    people = np.array(
        [
            np.mean(
                [
                    answer.choice == design.target
                    for answer in answers
                    if answer.pictures[0] == number
                ]
            )
            for number in seen
        ]
    )
    return (
        record
        | {
            "name": name,
            "images": len(seen),
            "calibrated_on": detector.calibration.pictures,
        }
        | _agreement(people, machine)
    )


def _agreement(people: NDArray[np.float64], machine: NDArray[np.float64]) -> dict[str, Any]:
    """Rank correlation of people's and a detector's answers over images, with its interval over images."""
    from scipy.stats import spearmanr

    def correlation(rows: NDArray[np.int64]) -> float:
        told = len(rows) > 2 and np.ptp(people[rows]) > 0 and np.ptp(machine[rows]) > 0
        return float(spearmanr(people[rows], machine[rows]).statistic) if told else np.nan

    found = correlation(np.arange(len(people)))
    if np.isnan(found):
        return {"rank_correlation_with_people": None, "rank_correlation_interval": None}
    interval = bootstrap_interval(correlation, len(people), resamples=400, seed=0)
    return {"rank_correlation_with_people": found, "rank_correlation_interval": interval}

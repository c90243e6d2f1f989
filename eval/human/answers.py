"""``python -m eval answers``: the answers of a human test as CSV and in figures, beside a detector's on the same pictures."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from detectors.detector import Detector
from engine.files import write_text
from engine.records import to_json
from engine.statistics import paired_difference
from eval.human.design import Design, design_of
from eval.human.pictures import Stimulus
from eval.human.statistics import confusion, over_people, share
from eval.human.store import Answer, Store
from images.io import decode_photo


def analyse(output: Path, detector: str | None = None) -> dict[str, Any]:
    """Write ``answers.csv``, ``summary.json`` and, for a study of kind ``label``, ``human_scores.csv`` for the leaderboard.

    Args:
        output: The study's folder.
        detector: Folder or Hub id of a detector to be asked about the served pictures; for kind ``label``.

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


def labelled(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Figures of a study that asks for labels, as HPBench's (arXiv 2304.13023, section 5); the target class is the positive one."""

    def figures(chosen: Sequence[Answer]) -> dict[str, Any]:
        truth = [stimuli[answer.pictures[0]].label == design.target for answer in chosen]
        return confusion(truth, [answer.choice == design.target for answer in chosen])

    named = Counter(reason for answer in answers for reason in answer.reasons)
    return figures(answers) | {
        "accuracy_over_people": over_people(
            accuracies(answers, lambda answer: stimuli[answer.pictures[0]].label == answer.choice)
        ),
        "by_category": _groups(
            answers, lambda answer: stimuli[answer.pictures[0]].category, figures
        ),
        "by_answer_about_themselves": _by_about(design, answers, figures),
        "reasons": {reason: share(named[reason], sum(named.values())) for reason in design.reasons},
    }


def paired(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Figures of a study that asks which of two is the target: how often it was, and how likely guessing would come as far from a half."""

    def right(answer: Answer) -> bool:
        return stimuli[answer.pictures[int(answer.choice) - 1]].label == design.target

    def figures(chosen: Sequence[Answer]) -> dict[str, Any]:
        count = sum(right(answer) for answer in chosen)
        return {
            "target_chosen": share(count, len(chosen)),
            "p_guessing": float(stats.binomtest(count, len(chosen)).pvalue),
        }

    first = sum(answer.choice == "1" for answer in answers)
    return figures(answers) | {
        "target_chosen_over_people": over_people(accuracies(answers, right)),
        "first_chosen": share(first, len(answers)),
        "by_category": _groups(
            answers, lambda answer: stimuli[answer.pictures[0]].category, figures
        ),
        "by_answer_about_themselves": _by_about(design, answers, figures),
    }


def rated(design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> dict[str, Any]:
    """Mean rating of each label over participants' means, and each label's difference from the target's, paired over participants."""
    means: dict[int, dict[str, float]] = {}
    for person in sorted({answer.participant for answer in answers}):
        mine = [answer for answer in answers if answer.participant == person]
        groups = {
            label: [int(a.choice) for a in mine if stimuli[a.pictures[0]].label == label]
            for label in design.labels
        }
        means[person] = {
            label: float(np.mean(values)) for label, values in groups.items() if values
        }
    record: dict[str, Any] = {"scale": design.scale, "ratings": {}, "differences": {}}
    for label in design.labels:
        if known := [mean[label] for mean in means.values() if label in mean]:
            record["ratings"][label] = over_people(known)
        both = [mean for mean in means.values() if {label, design.target} <= set(mean)]
        if label != design.target and both:
            found = paired_difference(
                np.array([mean[label] for mean in both]),
                np.array([mean[design.target] for mean in both]),
            )
            record["differences"][f"{label} - {design.target}"] = {
                "mean": found.mean,
                "low": found.low,
                "high": found.high,
                "p": found.p,
            }
    return record


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
    return {
        asked: _groups(answers, lambda answer, asked=asked: answer.about.get(asked, ""), figures)
        for asked in design.about
    }  # type: ignore[misc]


def beside(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus], folder: Path, name: str
) -> dict[str, Any]:
    """A detector's figures on the very files that people saw, each picture counted as often as it was judged."""
    detector = Detector.from_pretrained(name)
    seen = sorted({answer.pictures[0] for answer in answers})
    found = {}
    for number in seen:
        with (folder / f"{number}.bin").open("rb") as stream:
            picture = decode_photo(stream, f"picture {number}").tensor()
        found[number] = float(detector.probability(picture.unsqueeze(0))[0])
    asked = [answer.pictures[0] for answer in answers]
    record = confusion(
        [stimuli[number].label == design.target for number in asked],
        [found[number] >= 0.5 for number in asked],
    )
    people = [
        np.mean(
            [answer.choice == design.target for answer in answers if answer.pictures[0] == number]
        )
        for number in seen
    ]
    machine = [found[number] for number in seen]
    told = len(seen) > 2 and np.ptp(people) > 0 and np.ptp(machine) > 0
    return record | {
        "name": name,
        "calibrated_on": detector.calibration.pictures,
        "rank_correlation_with_people": float(stats.spearmanr(people, machine).statistic)
        if told
        else None,
    }


def as_csv(answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> str:
    """A line for each answer: participant, place, files and labels in the order shown, choice, reasons, seconds, about."""
    text = io.StringIO()
    about = list(answers[0].about)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "participant",
            "place",
            "files",
            "labels",
            "category",
            "choice",
            "reasons",
            "seconds",
            *about,
        ]
    )
    for answer in answers:
        shown = [stimuli[number] for number in answer.pictures]
        files, labels = (
            ";".join(str(found.file) for found in shown),
            ";".join(found.label for found in shown),
        )
        row = [
            answer.participant,
            answer.place,
            files,
            labels,
            shown[0].category,
            answer.choice,
            ";".join(answer.reasons),
            answer.seconds,
        ]
        writer.writerow([*row, *(answer.about[name] for name in about)])
    return text.getvalue()


def scores(design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> str:
    """The answers as a file of scores, by which people stand in ``python -m detectors leaderboard``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "score", "subset"])
    for answer in answers:
        found = stimuli[answer.pictures[0]]
        writer.writerow(
            [int(found.label == design.target), int(answer.choice == design.target), found.category]
        )
    return text.getvalue()


def in_words(record: dict[str, Any]) -> str:
    """The main figures in a few lines."""
    lines = [
        f"{record['people']} people, {record['answers']} answers, {record['seconds_median']:.1f} s each (median)"
    ]
    if record["kind"] == "rating":
        lines += [
            f"{label}: {found['mean']:.2f} ± {found['half_width']:.2f}"
            for label, found in record["ratings"].items()
        ]
        lines += [
            f"{pair}: {found['mean']:+.2f}, p = {found['p']:.4f}"
            for pair, found in record["differences"].items()
        ]
        return "\n".join(lines)
    names = (
        ("target_chosen",)
        if record["kind"] == "pair"
        else ("accuracy", "precision", "recall", "specificity", "false_omission")
    )
    lines += [f"{name.replace('_', ' ')}: {_said(record[name])}" for name in names]
    main = names[0]
    lines += [f"  {group}: {_said(found[main])}" for group, found in record["by_category"].items()]
    if told := record.get("detector"):
        lines += [
            f"{told['name']} on the same pictures:",
            *(f"  {name.replace('_', ' ')}: {_said(told[name])}" for name in names),
        ]
    return "\n".join(lines)


def _said(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['share']:.1%} ({found['low']:.1%} to {found['high']:.1%}; {found['count']} of {found['of']})"

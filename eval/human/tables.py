"""Answers of a human test as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from eval.human.design import Design
from eval.human.pictures import Stimulus
from eval.human.store import Answer


def as_csv(answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> str:
    """Write a line for each answer: participant, place, files and labels in the order shown, choice, reasons, seconds, about."""
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
    """Write the answers as a file of scores for ``python -m detectors leaderboard``, with who answered about which image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "score", "subset", "participant", "source_path"])
    for answer in answers:
        found = stimuli[answer.pictures[0]]
        writer.writerow(
            [
                int(found.label == design.target),
                int(answer.choice == design.target),
                found.category,
                answer.participant,
                f"{answer.pictures[0]}:{found.file}",
            ]
        )
    return text.getvalue()

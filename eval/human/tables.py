"""Answers of a human test as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from eval.human.design import Design
from eval.human.pictures import Stimulus
from eval.human.store import Answer

ANSWER_COLUMNS = (
    "participant",
    "place",
    "files",
    "labels",
    "category",
    "choice",
    "reasons",
    "seconds",
)


def as_csv(answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> str:
    """Format all answers, one line each.

    Files and labels are in the order shown. The participants' answers about themselves are the last
    columns.
    """
    text = io.StringIO()
    about = list(answers[0].about)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ANSWER_COLUMNS, *about])
    for answer in answers:
        shown = [stimuli[number] for number in answer.pictures]
        row = [
            answer.participant,
            answer.place,
            ";".join(str(stimulus.file) for stimulus in shown),
            ";".join(stimulus.label for stimulus in shown),
            shown[0].category,
            answer.choice,
            ";".join(answer.reasons),
            answer.seconds,
        ]
        writer.writerow([*row, *(answer.about[name] for name in about)])
    return text.getvalue()


def scores(design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> str:
    """Format the answers as scores for ``python -m detectors leaderboard``.

    Each score has its participant and its image. Label and score are 1 for generated.

    Args:
        design: The study, of kind ``label``.
        answers: All answers.
        stimuli: All images, by index.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "score", "subset", "participant", "source_path"])
    for answer in answers:
        stimulus = stimuli[answer.pictures[0]]
        writer.writerow(
            [
                int(stimulus.label == design.generated),
                int(answer.choice == design.generated),
                stimulus.category,
                answer.participant,
                f"{answer.pictures[0]}:{stimulus.file}",
            ]
        )
    return text.getvalue()

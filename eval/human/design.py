"""What a human test asks, and which questions a participant gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from engine.manifest import MANIFEST
from engine.records import read_json
from eval.human.pictures import Codec, Stimulus

Kind = Literal["label", "pair", "rating"]


@dataclass(frozen=True)
class Design:
    """A human test.

    Attributes:
        kind: ``label``: one picture, two answers. ``pair``: two pictures of one item, which of them? ``rating``: one picture, a scale.
        title: Of the pages.
        question: What is asked of every picture or pair.
        labels: The true labels and, for ``label``, the words of their buttons.
        target: The label that is to be recognised: the positive class, or the picture of a pair that is the answer.
        number: Questions of a participant: for each label, or, for ``pair``, altogether.
        introduction: What a participant reads first.
        reasons: What may be named as a reason once the target was chosen; ``label`` only.
        scale: Words of a rating's points, the lowest first.
        about: What participants are asked about themselves, and the answers to choose from; never who they are.
        size: Side of the served pictures, in pixels.
        codec: Of the served pictures; png where the pictures' own traces are what is asked about.
        participants: At most so many.
    """

    kind: Kind
    title: str
    question: str
    labels: dict[str, str]
    target: str
    number: int
    introduction: str = ""
    reasons: list[str] = field(default_factory=list)
    scale: list[str] = field(default_factory=list)
    about: dict[str, list[str]] = field(default_factory=dict)
    size: int = 320
    codec: Codec = "jpeg"
    participants: int = 1000

    def __post_init__(self) -> None:
        if self.kind != "rating" and len(self.labels) != 2:
            msg = f"a study of kind {self.kind} compares two labels, got {', '.join(self.labels) or 'none'}"
            raise ValueError(msg)
        if self.target not in self.labels:
            msg = f"target '{self.target}' is none of the labels {', '.join(self.labels)}"
            raise ValueError(msg)
        if self.kind == "rating" and len(self.scale) < 2:
            msg = "a rating needs a scale of at least two points"
            raise ValueError(msg)
        if self.number < 1 or self.size < 16 or self.participants < 1:
            msg = f"number, size (at least 16) and participants must be positive, got {self.number}, {self.size}, {self.participants}"
            raise ValueError(msg)

    @property
    def choices(self) -> dict[str, str]:
        """What may be answered, and how it reads. A pair's answers are places, so that they say nothing of labels."""
        if self.kind == "label":
            return self.labels
        if self.kind == "pair":
            return {"1": "The first", "2": "The second"}
        return {str(point): words for point, words in enumerate(self.scale, start=1)}

    def check(self, stimuli: Sequence[Stimulus]) -> None:
        """Whether a participant's questions can be drawn from these pictures.

        Raises:
            ValueError: If there are too few, or one has an unknown label.
        """
        if unknown := {stimulus.label for stimulus in stimuli} - set(self.labels):
            msg = f"pictures are labelled {', '.join(sorted(unknown))}; the study has only {', '.join(self.labels)}"
            raise ValueError(msg)
        counts = (
            {"pairs": len(pairs(stimuli))} if self.kind == "pair" else dict.fromkeys(self.labels, 0)
        )
        if self.kind != "pair":
            for stimulus in stimuli:
                counts[stimulus.label] += 1
        for name, count in counts.items():
            if count < self.number:
                msg = f"a participant is to judge {self.number} of {name}, but there are {count}; lower number or add pictures"
                raise ValueError(msg)


@dataclass(frozen=True)
class _Settings:
    design: Design


@dataclass(frozen=True)
class _Study:
    settings: _Settings


def design_of(folder: Path) -> Design:
    """The design that a study's folder was begun with.

    Raises:
        FileNotFoundError: If there is no manifest.
        ValueError: If it is damaged.
    """
    return read_json(
        folder / MANIFEST,
        _Study,
        "put a whole copy of it back: the answers mean nothing without it",
    ).settings.design


def pairs(stimuli: Sequence[Stimulus]) -> dict[str, dict[str, int]]:
    """For each item that has both labels: label to index of its picture."""
    items: dict[str, dict[str, int]] = defaultdict(dict)
    for index, stimulus in enumerate(stimuli):
        items[stimulus.item][stimulus.label] = index
    return {item: found for item, found in items.items() if len(found) == 2}


def draw(
    design: Design, stimuli: Sequence[Stimulus], shown: Mapping[int, int], rng: np.random.Generator
) -> list[list[int]]:
    """A participant's questions in their order: indices of the pictures of each, as many of every label, evenly over categories.

    Args:
        design: The study.
        stimuli: All pictures.
        shown: How often each picture was shown so far; rarer ones come first.
        rng: Decides everything else.
    """
    if design.kind == "pair":
        items = list(pairs(stimuli).values())
        groups = [[min(found.values()) for found in items]]
        other = {min(found.values()): max(found.values()) for found in items}
    else:
        groups = [
            [index for index, stimulus in enumerate(stimuli) if stimulus.label == label]
            for label in design.labels
        ]
        other = {}
    chosen = [
        index for group in groups for index in _evenly(group, stimuli, shown, design.number, rng)
    ]
    questions = [[index, other[index]] if other else [index] for index in chosen]
    if other:  # the target as often first as second
        first = rng.permutation(np.arange(len(questions)) % 2 == 0)
        for question, wanted in zip(questions, first, strict=True):
            if (stimuli[question[0]].label == design.target) != wanted:
                question.reverse()
    return [questions[place] for place in rng.permutation(len(questions))]


def _evenly(
    group: Sequence[int],
    stimuli: Sequence[Stimulus],
    shown: Mapping[int, int],
    number: int,
    rng: np.random.Generator,
) -> list[int]:
    """So many of a group: one of each category in turn, the least shown first."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for index in sorted(
        rng.permutation(group).tolist(), key=lambda index: -shown.get(index, 0)
    ):  # popped from the end
        waiting[stimuli[index].category].append(index)
    chosen: list[int] = []
    while len(chosen) < number:
        for category in rng.permutation(sorted(waiting)):
            if waiting[category] and len(chosen) < number:
                chosen.append(waiting[category].pop())
    return chosen

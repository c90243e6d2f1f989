"""Design of a human test, and draw of the questions."""

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

REAL = "real"
"""Label of photographs, wherever generated images are told from them."""


@dataclass(frozen=True)
class Design:
    """Design of a human test.

    Attributes:
        kind: ``label``: one image, two answers. ``pair``: two images of one item, choose one.
            ``rating``: one image, a scale.
        title: Title of the pages.
        question: Question about every image or pair.
        labels: The true labels and, for ``label``, the words of their buttons.
        target: The label to recognize: the positive class, or the correct image of a pair.
        number: Questions of a participant: for each label, or, for ``pair``, in total.
        introduction: Text of the first page.
        reasons: Reasons that can be chosen with the target; ``label`` only.
        scale: Words of a rating's points, the lowest first.
        about: Questions about the participants, with the answers to choose from; never about their
            identity.
        size: Side of the served images, in pixels, at least 16.
        codec: Codec of the served images; png if the images' compression traces matter.
        participants: Largest number of participants.
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
            labels = ", ".join(self.labels) or "none"
            msg = f"a study of kind {self.kind} compares two labels, got {labels}"
            raise ValueError(msg)
        if self.target not in self.labels:
            msg = f"target '{self.target}' is not one of the labels {', '.join(self.labels)}"
            raise ValueError(msg)
        if self.kind == "rating" and len(self.scale) < 2:
            msg = "a rating needs a scale of at least two points"
            raise ValueError(msg)
        if self.number < 1 or self.size < 16 or self.participants < 1:
            msg = (
                "number, size (at least 16) and participants must be positive, got "
                f"{self.number}, {self.size}, {self.participants}"
            )
            raise ValueError(msg)

    @property
    def generated(self) -> str:
        """Label of generated images: the target, unless it is ``real``, and then the other label.

        Only for kind ``label``.
        """
        if self.target != REAL:
            return self.target
        return next(label for label in self.labels if label != REAL)

    @property
    def choices(self) -> dict[str, str]:
        """Possible answers and their words.

        The answers of a pair are positions, which do not reveal labels.
        """
        if self.kind == "label":
            return self.labels
        if self.kind == "pair":
            return {"1": "The first", "2": "The second"}
        return {str(point): words for point, words in enumerate(self.scale, start=1)}

    def check_words(self) -> None:
        """Check that a new study asks nothing that it would not show, or nobody could answer.

        Studies of earlier versions may, and can be analyzed.

        Raises:
            ValueError: If it does.
        """
        for name, of_kind in (("reasons", "label"), ("scale", "rating")):
            if getattr(self, name) and self.kind != of_kind:
                msg = f"{name}: only for kind {of_kind}, and this is a {self.kind}; leave them out"
                raise ValueError(msg)
        for question, words in (self.about | {"answers": list(self.choices.values())}).items():
            _check_words(question, words)

    def check_labels(self, stimuli: Sequence[Stimulus]) -> None:
        """Check the labels of images.

        Raises:
            ValueError: If one is not the study's.
        """
        if unknown := {stimulus.label for stimulus in stimuli} - set(self.labels):
            msg = (
                f"images are labeled {', '.join(sorted(unknown))}; "
                f"the study has only {', '.join(self.labels)}"
            )
            raise ValueError(msg)

    def check_number(self, stimuli: Sequence[Stimulus]) -> None:
        """Check that the images suffice for a participant's questions.

        Raises:
            ValueError: If there are too few.
        """
        if self.kind == "pair":
            counts = {"pairs": len(pairs(stimuli))}
        else:
            counts = dict.fromkeys(self.labels, 0)
            for stimulus in stimuli:
                counts[stimulus.label] += 1
        for name, count in counts.items():
            if count < self.number:
                msg = (
                    f"a participant is to judge {self.number} of {name}, but there are {count}; "
                    "lower number or add images"
                )
                raise ValueError(msg)


def _check_words(question: str, words: Sequence[str]) -> None:
    """Check the answers to choose from.

    Raises:
        ValueError: If there are none, or people cannot tell one from another.
    """
    if not words or not all(word.strip() for word in words) or len(set(words)) < len(words):
        msg = f"'{question}' needs answers that differ and are not empty, got {list(words)}"
        raise ValueError(msg)


@dataclass(frozen=True)
class _Settings:
    """Settings of a study's manifest."""

    design: Design


@dataclass(frozen=True)
class _Study:
    """Manifest of a study."""

    settings: _Settings


def design_of(folder: Path) -> Design:
    """Read the design of a study from its manifest.

    Raises:
        FileNotFoundError: If there is no manifest.
        ValueError: If it is damaged.
    """
    remedy = "restore a complete copy of it: the answers cannot be analyzed without it"
    return read_json(folder / MANIFEST, _Study, remedy).settings.design


def pairs(stimuli: Sequence[Stimulus]) -> dict[str, dict[str, int]]:
    """Index the images of each item with both labels.

    Returns:
        For each item, the index of its image by label.

    Raises:
        ValueError: If an item has two images of one label.
    """
    items: dict[str, dict[str, int]] = defaultdict(dict)
    for index, stimulus in enumerate(stimuli):
        known = items[stimulus.item].setdefault(stimulus.label, index)
        if known != index:
            msg = f"{stimuli[known].file} and {stimulus.file}: two images of one name; keep one"
            raise ValueError(msg)
    return {item: images for item, images in items.items() if len(images) == 2}


def draw(
    design: Design, stimuli: Sequence[Stimulus], shown: Mapping[int, int], rng: np.random.Generator
) -> list[list[int]]:
    """Draw a participant's questions, in their order.

    All labels have equally many images, spread evenly over categories.

    Args:
        design: The study.
        stimuli: All images.
        shown: How often each image was shown so far; rarer images come first.
        rng: Generator of all random draws.

    Returns:
        For each question, the indices of its images.
    """
    # Choose images, or pairs by their first image.
    groups, partners = _groups(design, stimuli)
    chosen: list[int] = []
    for group in groups:
        chosen += _draw_evenly(group, stimuli, shown, design.number, rng)
    if not partners:
        questions = [[index] for index in chosen]
    else:
        # Show the target as often first as second.
        questions = [[index, partners[index]] for index in chosen]
        target_first = rng.permutation(np.arange(len(questions)) % 2 == 0)
        for question, wanted in zip(questions, target_first, strict=True):
            if (stimuli[question[0]].label == design.target) != wanted:
                question.reverse()
    return [questions[place] for place in rng.permutation(len(questions))]


def _groups(design: Design, stimuli: Sequence[Stimulus]) -> tuple[list[list[int]], dict[int, int]]:
    """Group the images that a participant judges equally many of.

    Returns:
        Groups of indices, and for pairs the index of each image's partner.
    """
    if design.kind == "pair":
        partners = {}
        for images in pairs(stimuli).values():
            partners[min(images.values())] = max(images.values())
        return [list(partners)], partners
    groups = []
    for label in design.labels:
        groups.append([index for index, one in enumerate(stimuli) if one.label == label])
    return groups, {}


def _draw_evenly(
    group: Sequence[int],
    stimuli: Sequence[Stimulus],
    shown: Mapping[int, int],
    number: int,
    rng: np.random.Generator,
) -> list[int]:
    """Draw images of a group, evenly over categories.

    Each category gives one image in turn, the least shown first.
    """
    # The least shown come last, because they are popped from the end.
    shuffled = rng.permutation(group).tolist()
    waiting: dict[str, list[int]] = defaultdict(list)
    for index in sorted(shuffled, key=lambda index: -shown.get(index, 0)):
        waiting[stimuli[index].category].append(index)
    chosen: list[int] = []
    while len(chosen) < number:
        for category in rng.permutation(sorted(waiting)):
            if waiting[category] and len(chosen) < number:
                chosen.append(waiting[category].pop())
    return chosen

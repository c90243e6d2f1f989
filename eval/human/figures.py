"""Figures of a human test, by kind of study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import crossed_difference, crossed_interval, crossed_test, holm_of_known
from eval.human.design import Design
from eval.human.pictures import Stimulus
from eval.human.statistics import Crossing, confusion, over_people, share
from eval.human.store import Answer


def crossing_of(design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]) -> Crossing:
    """Person and image of each answer.

    In studies whose labels are versions of one item, the item takes the image's place.

    Args:
        design: Design of the study.
        answers: Answers of all people.
        stimuli: Images of the study, by number.
    """
    people = [answer.participant for answer in answers]
    if design.kind == "label":
        return Crossing(people, [answer.pictures[0] for answer in answers])
    return Crossing(people, [stimuli[answer.pictures[0]].item for answer in answers])


def label_figures(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Figures of a study that asks for labels.

    They are those of HPBench (arXiv 2304.13023, section 5). The target class is the positive one.

    Args:
        design: Design of the study.
        answers: Answers of all people.
        stimuli: Images of the study, by number.
    """

    def figures(group: Sequence[Answer]) -> dict[str, Any]:
        truth = [stimuli[answer.pictures[0]].label == design.target for answer in group]
        positive = [answer.choice == design.target for answer in group]
        return confusion(truth, positive, crossing_of(design, group, stimuli))

    def right(answer: Answer) -> bool:
        return stimuli[answer.pictures[0]].label == answer.choice

    return figures(answers) | {
        "accuracy_over_people": over_people(accuracies(answers, right)),
        "by_category": _by_category(answers, stimuli, figures),
        "by_answer_about_themselves": _by_about(design, answers, figures),
        "reasons": reasons(design, answers, stimuli),
    }


def reasons(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Share of each reason among all stated reasons.

    Args:
        design: Design of the study.
        answers: Answers of all people.
        stimuli: Images of the study, by number.
    """
    # One entry for each reason of each answer.
    explained: list[Answer] = []
    stated: list[str] = []
    for answer in answers:
        explained += [answer] * len(answer.reasons)
        stated += answer.reasons
    crossing = crossing_of(design, explained, stimuli)
    shares = {}
    for reason in design.reasons:
        counted = [one == reason for one in stated]
        shares[reason] = share(counted, [True] * len(stated), crossing)
    return shares


def pair_figures(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Figures of a study that asks for the target of two images.

    ``target_chosen`` is the share of answers that chose the target. ``p_guessing`` is the p-value
    of the hypothesis that people guess. Those of the categories and groups also stand after Holm
    over all of them, ``p_guessing_holm``; ``comparisons`` is their number.

    Args:
        design: Design of the study.
        answers: Answers of all people.
        stimuli: Images of the study, by number.
    """

    def right(answer: Answer) -> bool:
        return stimuli[answer.pictures[int(answer.choice) - 1]].label == design.target

    def figures(group: Sequence[Answer]) -> dict[str, Any]:
        crossing = crossing_of(design, group, stimuli)
        every = [True] * len(group)
        correct = [right(answer) for answer in group]
        guessing = crossed_test(crossing.table(correct), crossing.table(every), 0.5)
        return {"target_chosen": share(correct, every, crossing), "p_guessing": guessing.p}

    first = [answer.choice == "1" for answer in answers]
    record = figures(answers) | {
        "target_chosen_over_people": over_people(accuracies(answers, right)),
        "first_chosen": share(first, [True] * len(answers), crossing_of(design, answers, stimuli)),
        "by_category": _by_category(answers, stimuli, figures),
        "by_answer_about_themselves": _by_about(design, answers, figures),
    }
    groups = [record["by_category"], *record["by_answer_about_themselves"].values()]
    parts = [part for group in groups for part in group.values()]
    return record | {"comparisons": adjust(parts, "p_guessing")}


def adjust(parts: Sequence[dict[str, Any]], name: str) -> int:
    """Add p-values after Holm (``NAME_holm``) to figures; return the number of tests.

    Figures without a p-value get None.
    """
    adjusted = holm_of_known([part[name] for part in parts])
    for part, p in zip(parts, adjusted, strict=True):
        part[f"{name}_holm"] = p
    return sum(p is not None for p in adjusted)


def rating_figures(
    design: Design, answers: Sequence[Answer], stimuli: Sequence[Stimulus]
) -> dict[str, Any]:
    """Mean rating of each label, and its difference from the target's.

    Intervals are over people and items at once. ``p_holm`` is the p-value after Holm over all
    differences, ``comparisons`` their number.

    Args:
        design: Design of the study.
        answers: Answers of all people.
        stimuli: Images of the study, by number.
    """
    crossing = crossing_of(design, answers, stimuli)
    labels = np.array([stimuli[answer.pictures[0]].label for answer in answers])
    ratings = np.array([int(answer.choice) for answer in answers])

    # Sum and number of ratings by person and item, for each label with answers.
    tables = {}
    for label in design.labels:
        mask = labels == label
        if mask.any():
            tables[label] = (crossing.table(ratings * mask), crossing.table(mask))

    record: dict[str, Any] = {"scale": design.scale, "ratings": {}, "differences": {}}
    for label, (total, count) in tables.items():
        record["ratings"][label] = _rating(total, count)
        if label != design.target and design.target in tables:
            difference = crossed_difference((total, count), tables[design.target])
            low, high = difference.interval or (None, None)
            record["differences"][f"{label} - {design.target}"] = {
                "mean": difference.estimate,
                "low": low,
                "high": high,
                "p": difference.p,
                "people": difference.people,
                "items": difference.images,
            }
    record["comparisons"] = adjust(list(record["differences"].values()), "p")
    return record


FIGURES = {"label": label_figures, "pair": pair_figures, "rating": rating_figures}
"""Functions that compute the figures, by kind of study."""


def _rating(total: NDArray[np.float64], count: NDArray[np.float64]) -> dict[str, Any]:
    """Mean rating, its interval, and the extreme means of people.

    Args:
        total: (P, I) sum of the ratings of P people for I items.
        count: (P, I) number of the ratings.
    """
    rows = count.any(axis=1)
    means = total[rows].sum(axis=1) / count[rows].sum(axis=1)
    interval = crossed_interval(lambda totals: totals[0] / totals[1], np.stack([total, count]))
    low, high = interval or (None, None)
    return {
        "mean": float(total.sum() / count.sum()),
        "low": low,
        "high": high,
        "best": float(means.max()),
        "worst": float(means.min()),
        "people": int(rows.sum()),
        "items": int(count.any(axis=0).sum()),
        "answers": int(count.sum()),
    }


def accuracies(answers: Sequence[Answer], right: Callable[[Answer], bool]) -> list[float]:
    """Share of each participant's answers that are right."""
    results: dict[int, list[bool]] = {}
    for answer in answers:
        results.setdefault(answer.participant, []).append(right(answer))
    return [float(np.mean(results[person])) for person in sorted(results)]


def _groups(
    answers: Sequence[Answer],
    name: Callable[[Answer], str],
    figures: Callable[[Sequence[Answer]], dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Figures of each group of answers with the same name."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(name(answer), []).append(answer)
    return {group: figures(groups[group]) for group in sorted(groups)}


def _by_category(
    answers: Sequence[Answer],
    stimuli: Sequence[Stimulus],
    figures: Callable[[Sequence[Answer]], dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Figures of each category of images."""
    return _groups(answers, lambda answer: stimuli[answer.pictures[0]].category, figures)


def _by_about(
    design: Design, answers: Sequence[Answer], figures: Callable[[Sequence[Answer]], dict[str, Any]]
) -> dict[str, Any]:
    """Figures of people by their answers about themselves, for each question."""

    def by(question: str) -> Callable[[Answer], str]:
        return lambda answer: answer.about.get(question, "")

    return {question: _groups(answers, by(question), figures) for question in design.about}

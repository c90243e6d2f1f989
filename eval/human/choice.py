"""Choice of the images that a human test can ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.human.design import Design, pairs
from eval.human.pictures import Stimulus


def left_out(
    design: Design, stimuli: Sequence[Stimulus], digests: Mapping[Path, str]
) -> dict[Path, str]:
    """Find the images that nobody can be asked about.

    In a study of pairs, these are images without a counterpart, and pairs of equal files.

    Args:
        design: The study.
        stimuli: All images.
        digests: Hash of each image file.

    Returns:
        The reason for each file that is left out.

    Raises:
        ValueError: If a study of kind ``label`` has one image under both labels, or a pair has two
            images of one label.
    """
    if design.kind == "label":
        _refuse_two_labels(stimuli, digests)
    if design.kind != "pair":
        return {}
    reasons = {}
    items = pairs(stimuli)
    for stimulus in stimuli:
        if stimulus.item not in items:
            others = " or ".join(label for label in design.labels if label != stimulus.label)
            reasons[stimulus.file] = f"no image of this name is labeled {others}"
    for images in items.values():
        first, second = (stimuli[index].file for index in images.values())
        if digests[first] == digests[second]:
            reasons[first] = f"the same image as {second}"
            reasons[second] = f"the same image as {first}"
    return reasons


def _refuse_two_labels(stimuli: Sequence[Stimulus], digests: Mapping[Path, str]) -> None:
    """Refuse an image with two true labels.

    Raises:
        ValueError: If there is one; the message names it.
    """
    known: dict[str, Stimulus] = {}
    for stimulus in stimuli:
        first = known.setdefault(digests[stimulus.file], stimulus)
        if first.label != stimulus.label:
            msg = (
                f"{first.file} and {stimulus.file}: one image, labeled {first.label} and "
                f"{stimulus.label}; keep the true one"
            )
            raise ValueError(msg)

"""Settings of ``python -m rid pairs``."""

from __future__ import annotations

from dataclasses import dataclass, field

import rid.pairs.objectives  # noqa: F401, so that the option names its classes
from images.budget import check_budget
from images.transforms.purifier import Purifier
from rid.pairs.objective import ModelObjective


@dataclass(frozen=True)
class PGDConfig:
    """Settings of projected gradient ascent (PGD).

    Attributes:
        steps: Gradient steps per objective and round.
        step_size: Step size in gray levels of 255.
        momentum: Decay of the accumulated gradient, from 0 to 1; 0 uses the plain sign. Gradients
            are normalized by their mean magnitude per image and accumulate across objectives and
            rounds.
        outer_steps: Outer rounds. In each, every objective runs its steps from the same images, and
            the results are averaged.
        universal: Optimize one universal perturbation for all images, image by image.

    Raises:
        ValueError: If a value is out of range.
    """

    steps: int = 100
    step_size: float = 0.6
    momentum: float = 0.99
    outer_steps: int = 1
    universal: bool = False

    def __post_init__(self) -> None:
        counts_valid = min(self.steps, self.outer_steps) >= 1
        if not counts_valid or self.step_size <= 0 or not 0 <= self.momentum <= 1:
            msg = (
                "steps and outer_steps must be at least 1, step_size above 0 and momentum from 0 "
                f"to 1, got {self}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class PairConfig:
    """Settings of gradient-attacked pairs.

    The defaults are those of RID's own pairs.

    Attributes:
        objective: Objective of the ascent and its models: a class of
            :mod:`rid.pairs.objectives`.
        budget: Bound of the perturbation in gray levels of 255, from 1 to 255.
        side: Side in pixels to which images are resized and center-cropped, as in RID's programs.
        pgd: Settings of PGD.
        alternate_models: Attack the models one after another in each round and average the results,
            as the published ensembles do; otherwise each step uses the mean of all models.
        edits: Differentiable edits whose mean objective every step follows, so that the
            perturbation survives them; null stands for the image as it is. Empty is as published.
        reference: Folder of other clean images of the same people, in folders of the same names, on
            which a surrogate is fine-tuned (set A of Anti-DreamBooth's protocol); needs an
            objective that fine-tunes, and by_folder. Without it, the images to protect serve.
        batch_size: Images attacked together.
        by_folder: Attack each folder of images as one batch, as one person's surrogate needs.
        shards: Write one WebDataset shard per batch instead of PNG files and a list.
        seed: Seed of all random draws.

    Raises:
        ValueError: If ``batch_size`` is below 1, ``budget`` is out of range, or ``reference`` does
            not fit the objective.
    """

    objective: ModelObjective
    budget: float = 6.0
    side: int = 512
    pgd: PGDConfig = PGDConfig(steps=9, outer_steps=50)
    alternate_models: bool = True
    edits: list[Purifier | None] = field(default_factory=list)
    reference: str | None = None
    batch_size: int = 8
    by_folder: bool = False
    shards: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if self.reference is not None and not (self.objective.learns and self.by_folder):
            msg = (
                "reference needs an objective that fine-tunes, such as FineTunedSurrogate, and "
                "by_folder: one folder per person"
            )
            raise ValueError(msg)
        if self.batch_size < 1:
            msg = f"batch_size must be at least 1, got {self.batch_size}"
            raise ValueError(msg)

"""Settings of ``python -m rid pairs``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from images.transforms.purifier import Purifier

Method = Literal["denoising", "surrogate", "encoder", "targeted"]
"""Objective of the attack.

``denoising``: frozen models. ``surrogate``: models that are fine-tuned on the images (ASPL, FSMG).
``encoder``: the autoencoders alone. ``targeted``: denoising, with a pull towards a target image.
"""


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
class SurrogateConfig:
    """Settings of the surrogate's DreamBooth fine-tuning.

    The defaults are those of Anti-DreamBooth's ASPL scripts (arXiv 2303.15433).

    Attributes:
        warmup_steps: Warm-up steps on the clean images before the first round; FSMG uses 1000, and
            0 steps per round.
        steps: Steps on the clean images before each round, and on the protected ones after it.
        lr: AdamW's learning rate; its moments are reset before each training.
        train_text_encoder: Also train the text encoder.
        instance_prompt: Prompt of the person's images.
        class_prompt: Prompt of the prior-preservation images.
        prior_weight: Weight of the prior-preservation loss; 0 turns it off.
        class_images: Number of prior-preservation images to generate, once.
        sample_steps: DDIM steps per generated image.
        guidance: Classifier-free guidance scale of generated images.
    """

    warmup_steps: int = 0
    steps: int = 3
    lr: float = 5e-7
    train_text_encoder: bool = True
    instance_prompt: str = "a photo of sks person"
    class_prompt: str = "a photo of person"
    prior_weight: float = 1.0
    class_images: int = 200
    sample_steps: int = 50
    guidance: float = 7.5


@dataclass(frozen=True)
class PairConfig:
    """Settings of gradient-attacked pairs.

    The defaults are those of RID's own pairs.

    Attributes:
        models: Pipeline folders or Hub ids.
        budget: Bound of the perturbation in gray levels of 255.
        side: Side in pixels to which images are resized and center-cropped, as in RID's programs.
        method: Objective: denoising, surrogate, encoder or targeted.
        pgd: Settings of PGD.
        alternate_models: Attack the models one after another in each round and average the results,
            as the published ensembles do; otherwise each step uses the mean of all models.
        prompt: Prompt of the models, with the methods denoising and targeted.
        timestep_range: Lowest and highest timestep to draw, as fractions of the noise schedule from
            0 to 1, with the method denoising.
        num_noise_samples: Samples of timestep and noise per gradient, with the method denoising.
        edits: Differentiable edits whose mean objective every step follows, so that the
            perturbation survives them; null stands for the image as it is. Empty is as published.
        surrogate: Fine-tuning of the surrogate, with the method surrogate.
        reference: Folder of other clean images of the same people, in folders of the same names, on
            which the surrogate is fine-tuned (set A of Anti-DreamBooth's protocol); needs the
            method surrogate and by_folder. Without it, the images to protect serve.
        target: Target image file, with the method targeted.
        batch_size: Images attacked together.
        by_folder: Attack each folder of images as one batch, as one person's surrogate needs.
        shards: Write one WebDataset shard per batch instead of PNG files and a list.
        seed: Seed of all random draws.

    Raises:
        ValueError: If a value is out of range, or ``reference`` or ``target`` does not fit
            ``method``.
    """

    models: list[str]
    budget: float = 6.0
    side: int = 512
    method: Method = "denoising"
    pgd: PGDConfig = PGDConfig(steps=9, outer_steps=50)
    alternate_models: bool = True
    prompt: str = "a photo of sks person"
    timestep_range: tuple[float, float] = (0.0, 1.0)
    num_noise_samples: int = 1
    edits: list[Purifier | None] = field(default_factory=list)
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    reference: str | None = None
    target: str | None = None
    batch_size: int = 8
    by_folder: bool = False
    shards: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.target is not None) != (self.method == "targeted"):
            msg = "give target with the method targeted, and only with it"
            raise ValueError(msg)
        if self.reference is not None and not (self.method == "surrogate" and self.by_folder):
            msg = "reference needs the method surrogate and by_folder: one folder per person"
            raise ValueError(msg)
        lowest, highest = self.timestep_range
        if not 0 <= lowest < highest <= 1:
            msg = "timestep_range must be two fractions from 0 to 1, the lower first"
            raise ValueError(msg)
        if not self.models or self.batch_size < 1 or self.num_noise_samples < 1:
            msg = "models must not be empty, and batch_size and num_noise_samples at least 1"
            raise ValueError(msg)

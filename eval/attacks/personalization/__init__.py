"""Personalization: teaches a diffusion model one person's face."""

from eval.attacks.personalization.attack import Personalization
from eval.attacks.personalization.decoupling import (
    ContrastiveDecoupling,
    ContrastiveDecouplingConfig,
)
from eval.attacks.personalization.methods import (
    DreamBooth,
    DreamBoothConfig,
    DreamBoothLora,
    DreamBoothLoraConfig,
    LoraTextualInversion,
    LoraTextualInversionConfig,
    TextualInversion,
    TextualInversionConfig,
)

__all__ = [
    "ContrastiveDecoupling",
    "ContrastiveDecouplingConfig",
    "DreamBooth",
    "DreamBoothConfig",
    "DreamBoothLora",
    "DreamBoothLoraConfig",
    "LoraTextualInversion",
    "LoraTextualInversionConfig",
    "Personalization",
    "TextualInversion",
    "TextualInversionConfig",
]

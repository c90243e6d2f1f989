"""Personalization: teaches a diffusion model one person's face."""

from eval.attacks.personalization.attack import Personalization
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
from eval.attacks.personalization.sdxl import SDXLDreamBoothLora, SDXLDreamBoothLoraConfig

__all__ = [
    "DreamBooth",
    "DreamBoothConfig",
    "DreamBoothLora",
    "DreamBoothLoraConfig",
    "LoraTextualInversion",
    "LoraTextualInversionConfig",
    "Personalization",
    "SDXLDreamBoothLora",
    "SDXLDreamBoothLoraConfig",
    "TextualInversion",
    "TextualInversionConfig",
]

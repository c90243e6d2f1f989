"""Teaching a diffusion model one person's face from a few pictures."""

from eval.attacks.personalization.lora_ti import LoraTextualInversion, LoraTextualInversionConfig

__all__ = ["LoraTextualInversion", "LoraTextualInversionConfig"]

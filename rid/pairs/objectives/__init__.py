"""Objectives of gradient ascent on images; configs name them by ``class_path``."""

from rid.pairs.objectives.denoising import Denoising
from rid.pairs.objectives.encoder import EncoderAttack
from rid.pairs.objectives.fine_tuned import FineTunedSurrogate, SurrogateConfig
from rid.pairs.objectives.targeted import Targeted

__all__ = ["Denoising", "EncoderAttack", "FineTunedSurrogate", "SurrogateConfig", "Targeted"]

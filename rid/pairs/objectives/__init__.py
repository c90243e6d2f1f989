"""Objectives of gradient ascent on images; configs name them by ``class_path``."""

from rid.pairs.objectives.caat import CAAT
from rid.pairs.objectives.denoising import Denoising
from rid.pairs.objectives.encoder import EncoderAttack
from rid.pairs.objectives.fine_tuned import FineTunedSurrogate, SurrogateConfig
from rid.pairs.objectives.metacloak import MetaCloak
from rid.pairs.objectives.mist import Mist
from rid.pairs.objectives.photoguard import PhotoGuardDiffusion, PhotoGuardEncoder
from rid.pairs.objectives.purifier_guidance import PurifierGuidance
from rid.pairs.objectives.score_distillation import ScoreDistillation
from rid.pairs.objectives.simac import SimAC
from rid.pairs.objectives.targeted import Targeted

__all__ = [
    "CAAT",
    "Denoising",
    "EncoderAttack",
    "FineTunedSurrogate",
    "MetaCloak",
    "Mist",
    "PhotoGuardDiffusion",
    "PhotoGuardEncoder",
    "PurifierGuidance",
    "ScoreDistillation",
    "SimAC",
    "SurrogateConfig",
    "Targeted",
]

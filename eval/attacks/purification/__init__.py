"""Purification: removes a protection before training on the images."""

from eval.attacks.purification.chain import Chain
from eval.attacks.purification.diffusion import DiffPure, GridPure
from eval.attacks.purification.filters import Bilateral, Guided
from eval.attacks.purification.latent import ImageToImage, NoisyUpscale
from eval.attacks.purification.one_step import OneStepDiffusion
from eval.attacks.purification.pixels import (
    Crop,
    DownUp,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    RandomCrop,
    Rounding,
)
from eval.attacks.purification.remover import LearnedRemover
from eval.attacks.purification.restoration import Restoration
from images.transforms.purifier import Purifier

__all__ = [
    "Bilateral",
    "Chain",
    "Crop",
    "DiffPure",
    "DownUp",
    "GaussianBlur",
    "GaussianNoise",
    "GridPure",
    "Guided",
    "ImageToImage",
    "Jpeg",
    "LearnedRemover",
    "NoisyUpscale",
    "OneStepDiffusion",
    "Purifier",
    "RandomCrop",
    "Restoration",
    "Rounding",
]

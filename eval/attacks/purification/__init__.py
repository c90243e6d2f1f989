"""Purification: removes a protection before training on the images."""

from eval.attacks.purification.diffusion import DiffPure, GridPure
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
from images.transforms.purifier import Purifier

__all__ = [
    "Crop",
    "DiffPure",
    "DownUp",
    "GaussianBlur",
    "GaussianNoise",
    "GridPure",
    "ImageToImage",
    "Jpeg",
    "NoisyUpscale",
    "OneStepDiffusion",
    "Purifier",
    "RandomCrop",
    "Rounding",
]

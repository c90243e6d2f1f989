"""Every metric of the evaluation: what it says, which way a defender wants it, and which weights it needs.  ``python -m eval metrics``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Described:
    """A metric in words.

    Attributes:
        name: As in tables and in ``extra_metrics``.
        says: What it measures, and of which pictures.
        wanted: Which way a defender wants it.
        weights: The weights it needs and their licence; empty if none.
        local: How to give a local copy.
    """

    name: str
    says: str
    wanted: Literal["lower", "higher"]
    weights: str = ""
    local: str = ""


FACES = (
    "a face backend: checkpoints/tiny/faces (Apache-2.0); opencv: YuNet (MIT) and SFace (Apache-2.0) from the Hub; "
    "insightface: its packs (non-commercial research)"
)
CLIP_WEIGHTS = "openai/clip-vit-base-patch16 (MIT)"
INCEPTION = "Inception v3 of the FID paper, pt_inception-2015-12-05-6726825d.pth from github.com/toshas/torch-fidelity (Apache-2.0)"

CATALOGUE = (
    Described(
        "ism_all",
        "cosine of generated faces to the person's mean embedding, no face = 0",
        "lower",
        FACES,
        "--faces FOLDER",
    ),
    Described(
        "ism",
        "the same over pictures with a face only (Anti-DreamBooth's)",
        "lower",
        FACES,
        "--faces FOLDER",
    ),
    Described(
        "fdfr", "share of generated pictures without a face", "higher", FACES, "--faces FOLDER"
    ),
    Described(
        "ser_fiq",
        "quality of generated faces, from embeddings under dropout",
        "lower",
        "checkpoints/tiny/faces or another face network with dropout",
    ),
    Described(
        "brisque",
        "distortion of generated pictures (BRISQUE)",
        "higher",
        "inside the brisque package (Apache-2.0)",
        "requirements-brisque.txt",
    ),
    Described(
        "clip_iqa",
        "how good a photo CLIP takes a generated picture for",
        "lower",
        CLIP_WEIGHTS,
        "--metric_weights.clip FOLDER",
    ),
    Described(
        "clip_score",
        "how well a generated picture fits its prompt",
        "lower",
        CLIP_WEIGHTS,
        "--metric_weights.clip FOLDER",
    ),
    Described(
        "fid",
        "Frechet distance of generated to unprotected pictures",
        "higher",
        INCEPTION,
        "--metric_weights.inception FILE",
    ),
    Described(
        "kid",
        "kernel distance of the same; the one to use for few pictures",
        "higher",
        INCEPTION,
        "--metric_weights.inception FILE",
    ),
    Described("psnr", "fidelity of protected pictures, dB", "higher"),
    Described("ssim", "structural similarity of protected pictures", "higher"),
    Described("ms_ssim", "the same over several scales; pictures above 160 pixels", "higher"),
    Described(
        "lpips",
        "perceptual distance of protected pictures",
        "lower",
        "torchvision's AlexNet, alexnet-owt-7be5be79.pth (BSD-3-Clause)",
        "$TORCH_HOME/hub/checkpoints/",
    ),
    Described(
        "denoising_error",
        "of the attacked model, before it learns anything, on protected pictures",
        "higher",
    ),
    Described("levels", "largest change of a protected picture, grey levels of 255", "lower"),
)


def text() -> str:
    """The catalogue as lines."""
    lines = []
    for metric in CATALOGUE:
        lines.append(f"{metric.name:<15} {metric.says}; a defender wants it {metric.wanted}")
        if metric.weights:
            lines.append(
                f"{'':<15}   weights: {metric.weights}"
                + (f"; local copy: {metric.local}" if metric.local else "")
            )
    return "\n".join(lines)

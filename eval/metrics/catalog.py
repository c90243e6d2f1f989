"""``python -m eval metrics``: catalog of all metrics and their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricInfo:
    """Description of a metric.

    Attributes:
        name: Name in tables and in ``extra_metrics``.
        says: Measured quantity, and the images that it is measured on.
        wanted: Direction that a defender wants: ``lower`` or ``higher``.
        weights: Weights that it needs and their license; empty if none.
        local: Option or path of a local copy of the weights.
    """

    name: str
    says: str
    wanted: Literal["lower", "higher"]
    weights: str = ""
    local: str = ""


FACES = (
    "a face backend: checkpoints/tiny/faces (Apache-2.0); opencv: YuNet (MIT) and SFace "
    "(Apache-2.0) from the Hub; insightface: its packs (non-commercial research)"
)
CLIP_WEIGHTS = "openai/clip-vit-base-patch16 (MIT)"
INCEPTION = (
    "Inception v3 of the FID paper, pt_inception-2015-12-05-6726825d.pth from "
    "github.com/toshas/torch-fidelity (Apache-2.0)"
)

CATALOG = (
    MetricInfo(
        "ism_all",
        "cosine of generated faces to the person's mean embedding, no face = 0; in tables a person "
        "below 0 counts as 0",
        "lower",
        FACES,
        "--faces FOLDER",
    ),
    MetricInfo(
        "ism",
        "the same over images with a face only (Anti-DreamBooth's ISM)",
        "lower",
        FACES,
        "--faces FOLDER",
    ),
    MetricInfo(
        "fdfr",
        "share of generated images without a detected face",
        "higher",
        FACES,
        "--faces FOLDER",
    ),
    MetricInfo(
        "ser_fiq",
        "quality of generated faces, from embeddings under dropout (SER-FIQ)",
        "lower",
        "checkpoints/tiny/faces or another face network with dropout",
    ),
    MetricInfo(
        "brisque",
        "distortion of generated images (BRISQUE)",
        "higher",
        "inside the brisque package (Apache-2.0)",
        "requirements-brisque.txt",
    ),
    MetricInfo(
        "clip_iqa",
        "quality of generated images according to CLIP (CLIP-IQA)",
        "lower",
        CLIP_WEIGHTS,
        "--metric_weights.clip FOLDER",
    ),
    MetricInfo(
        "clip_score",
        "agreement of generated images with their prompts (CLIP score)",
        "lower",
        CLIP_WEIGHTS,
        "--metric_weights.clip FOLDER",
    ),
    MetricInfo(
        "clip_direction",
        "success of edits: cosine of the images' and the words' change (CLIP direction)",
        "lower",
        CLIP_WEIGHTS,
        "--metric_weights.clip FOLDER",
    ),
    MetricInfo(
        "fid",
        "Frechet distance of generated to unprotected images",
        "higher",
        INCEPTION,
        "--metric_weights.inception FILE",
    ),
    MetricInfo(
        "kid",
        "kernel distance of the same; preferred for few images",
        "higher",
        INCEPTION,
        "--metric_weights.inception FILE",
    ),
    MetricInfo("psnr", "fidelity of protected images, dB", "higher"),
    MetricInfo("ssim", "structural similarity of protected images", "higher"),
    MetricInfo("ms_ssim", "the same over several scales; images above 160 pixels", "higher"),
    MetricInfo(
        "lpips",
        "perceptual distance of protected images",
        "lower",
        "torchvision's AlexNet, alexnet-owt-7be5be79.pth (BSD-3-Clause)",
        "$TORCH_HOME/hub/checkpoints/",
    ),
    MetricInfo(
        "denoising_error",
        "denoising error of the attacked model, before training, on protected images",
        "higher",
    ),
    MetricInfo("levels", "largest change of a protected image, gray levels of 255", "lower"),
)


def text() -> str:
    """Format the catalog as lines."""
    lines = []
    for metric in CATALOG:
        lines.append(f"{metric.name:<15} {metric.says}; a defender wants it {metric.wanted}")
        if metric.weights:
            local = f"; local copy: {metric.local}" if metric.local else ""
            lines.append(f"{'':<15}   weights: {metric.weights}{local}")
    return "\n".join(lines)

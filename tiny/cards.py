"""Cards of the shipped models: description, training and measured figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from checkpoints.card import card_body, record, table
from engine.files import write_text
from engine.records import read_json
from eval.attacks.purification import DiffPure, DownUp, NoisyUpscale, Restoration
from models.denoisers import open_family
from tiny.adapter_quality import adapter_quality
from tiny.detection import TEST_PIPELINE
from tiny.face_quality import face_quality
from tiny.faces import ATTRIBUTES, FaceImages
from tiny.figures import Figure, Figures, figure_table, mean_share, plain
from tiny.identity import EVALUATION_START
from tiny.index import index_quality
from tiny.probe import AttributeProbe
from tiny.quality import (
    evaluation_portraits,
    generator_quality,
    latent_sensitivity,
    purifier_quality,
    reconstruction_psnr,
    sample_quality,
)
from tiny.recognition_quality import copy_quality, detector_quality, embedder_quality

ONE_RUN = (
    "One training run. In brackets 95 % intervals over the units of the last column; they say "
    "nothing of other training runs."
)
"""Sentence above the figures of a card."""


def write_card(folder: Path, title: str, about: str, measured: Figures) -> None:
    """Write ``README.md`` beside the weights.

    Args:
        folder: Folder of the model.
        title: Heading.
        about: Description.
        measured: Figures by name.
    """
    training = read_json(folder / "training.json", dict[str, Any], "train it again")
    for key, value in record(folder / "vae", "training.json").items():
        training[f"autoencoder: {key}"] = value
    sections = {
        "Training": table(training, ".3f"),
        "Measured on evaluation identities": f"{ONE_RUN}\n\n{figure_table(measured)}",
    }
    write_text(folder / "README.md", card_body(f"# {title}\n\n{about}", sections))


Measured = tuple[str, str, Figures]
"""Title, description and figures of a model."""


def measure_faces(shipped: Path, work: Path) -> Measured:
    """Measure the face network."""
    about = "For drawn portraits of 64 pixels; says nothing of real faces."
    return "Face detector and embedder", about, face_quality(str(shipped / "faces"))


@cache
def load_probe(file: Path) -> tuple[AttributeProbe, dict[str, Figure]]:
    """Load the attribute probe, and measure its accuracy on portraits, by attribute."""
    probe = AttributeProbe()
    probe.load_state_dict(torch.load(file, weights_only=True))
    probe.eval()
    pictures = 2
    held_out = FaceImages(EVALUATION_START, 200, pictures)
    with torch.no_grad():
        predictions = [logits.argmax(dim=1) for logits in probe(held_out.images.float() / 255)]
    accuracy = {}
    for name, predicted, labels in zip(ATTRIBUTES, predictions, held_out.attributes.T, strict=True):
        correct = (predicted == labels)[labels >= 0].view(-1, pictures).double()
        accuracy[name] = mean_share(correct.mean(dim=1), "people", f"{pictures} images")
    return probe, accuracy


def measure_pipeline(shipped: Path, work: Path, name: str) -> Measured:
    """Measure a pipeline.

    Args:
        shipped: Folder of the models.
        work: Folder with the probe.
        name: Name of the pipeline.
    """
    probe, probe_accuracy = load_probe(work / "probe" / "probe.pt")
    images = evaluation_portraits(64)
    vae = AutoencoderKL.from_pretrained(shipped / name, subfolder="vae")
    vae.eval().requires_grad_(False)
    quality: dict[str, Figure | dict[str, Figure]] = {"vae_psnr": reconstruction_psnr(vae, images)}
    for perturbation, value in latent_sensitivity(vae, images[:32]).items():
        quality[f"latents_moved_by_{perturbation}"] = value
    quality |= sample_quality(shipped / name, str(shipped / "faces"), probe)
    quality["probe_right_on_real_renders"] = probe_accuracy
    kind = open_family(str(shipped / name)).pipeline_class.__name__
    about = (
        "A latent-diffusion pipeline for drawn portraits of 64 pixels; "
        f"`{kind}.from_pretrained` opens it."
    )
    return f"Small pipeline {name}", about, quality


def measure_generator(shipped: Path, work: Path, name: str, title: str, about: str) -> Measured:
    """Measure an RID generator.

    Args:
        shipped: Folder of the models.
        work: Not used.
        name: Name of the generator.
        title: Heading of its card.
        about: Description.
    """
    pipelines = [str(shipped / pipeline) for pipeline in PIPELINES]
    figures = generator_quality(str(shipped / name), pipelines, evaluation_portraits(64))
    return title, about, figures


def measure_ddpm(shipped: Path, work: Path) -> Measured:
    """Measure the unconditional model."""
    about = (
        "Samples portraits, or crops of them, of 32 pixels; "
        "DiffPure and GrIDPure purify drawn portraits with it."
    )
    method = DiffPure(str(shipped / "ddpm"))
    figures = purifier_quality(method, evaluation_portraits(32), str(shipped / "faces"))
    return "Small unconditional model", about, figures


def measure_upscaler(shipped: Path, work: Path) -> Measured:
    """Measure the upscaler."""
    method = NoisyUpscale(str(shipped / "upscaler"), "photo of a person", steps=25, guidance=3.0)
    about = (
        "Samples portraits of 256 pixels from noisy ones of 64; "
        "`StableDiffusionUpscalePipeline.from_pretrained` opens it."
    )
    figures = purifier_quality(method, evaluation_portraits(16), str(shipped / "faces"))
    return "Small x4 upscaler", about, figures


def measure_adapter(shipped: Path, work: Path) -> Measured:
    """Measure the IP-Adapter."""
    about = (
        "Makes one portrait a prompt of the pipeline sd-a1 beside it; "
        "`eval.attacks.one_photo.IPAdapter` and diffusers' `load_ip_adapter` open it."
    )
    figures = adapter_quality(
        str(shipped / "sd-a1"), str(shipped / "ip-adapter"), str(shipped / "faces")
    )
    return "Small IP-Adapter", about, figures


def measure_restorer(shipped: Path, work: Path) -> Measured:
    """Measure the restoration network, beside the scaling that comes before it."""
    about = (
        "Enlarges degraded portraits of 32 pixels to 64; `eval.attacks.purification.Restoration` "
        "and `Swin2SRForImageSuperResolution.from_pretrained` open it."
    )
    faces = str(shipped / "faces")
    images = evaluation_portraits(64)
    figures = {
        "scaled to half and restored": purifier_quality(
            Restoration(str(shipped / "restorer")), images, faces
        ),
        "scaled to half and back": purifier_quality(DownUp(0.5), images, faces),
    }
    return "Small restoration network", about, figures


def measure_detector(shipped: Path, work: Path) -> Measured:
    """Measure the detector."""
    about = (
        "Separates drawn portraits from samples of the small pipelines; "
        f"{TEST_PIPELINE} is not in its training data. Not for photographs: it is not unsure of "
        "all of them."
    )
    return "Small detector", about, detector_quality(str(shipped / "detector"), work / "detection")


def measure_copies(shipped: Path, work: Path) -> Measured:
    """Measure the copy-detection network."""
    about = (
        "Describes drawn images for copy detection by unit vectors of 64 values, for "
        "`python -m indexing`. Little use on photographs."
    )
    return "Small copy-detection network", about, copy_quality(str(shipped / "copies"))


def measure_index(shipped: Path, work: Path) -> Measured:
    """Measure the index."""
    about = (
        "Descriptors of drawn images by the copy-detection network beside it, without the images; "
        "for the demo's tab Find."
    )
    return "Small index of drawn pictures", about, index_quality(str(shipped / "index"))


def measure_embedder(shipped: Path, work: Path) -> Measured:
    """Measure the image-text embedder."""
    about = (
        "Finds drawn portraits by appearance and by keys lettered as `sentinels.plate` does; "
        "reads no other lettering."
    )
    return "Small image-text embedder", about, embedder_quality(shipped / "embedder")


PIPELINES = ("sd-a1", "sd-a2", "sd-b")
"""Pipelines that the generators protect against, or that they are measured on."""

MEASURES: dict[str, Callable[[Path, Path], Measured]] = {
    "faces": measure_faces,
    **{name: partial(measure_pipeline, name=name) for name in (*PIPELINES, "sd-c")},
    "ddpm": measure_ddpm,
    "upscaler": measure_upscaler,
    "ip-adapter": measure_adapter,
    "restorer": measure_restorer,
    "rid": partial(
        measure_generator,
        name="rid",
        title="Small RID generator",
        about="Protects drawn portraits of 64 pixels against the three pipelines beside it; "
        "defends against nothing else.",
    ),
    "rid-robust": partial(
        measure_generator,
        name="rid-robust",
        title="Small RID generator, trained through edits",
        about="Protects drawn portraits of 64 pixels, also scaled down, compressed or cropped, "
        "against sd-a1 and sd-a2 beside it. It has not seen sd-b, and defends against nothing "
        "else.",
    ),
    "detector": measure_detector,
    "copies": measure_copies,
    "index": measure_index,
    "embedder": measure_embedder,
}


def measure(names: Sequence[str], shipped: Path, work: Path, write: bool) -> dict[str, Any]:
    """Measure shipped models.

    Args:
        names: Models of :data:`MEASURES`.
        shipped: Folder of the models.
        work: Folder of intermediate results.
        write: Write the figures into the models' cards.

    Returns:
        Figures by model, as plain values.
    """
    measured = {}
    for name in names:
        title, about, figures = MEASURES[name](shipped, work)
        if write:
            write_card(shipped / name, title, about, figures)
        measured[name] = plain(figures)
    return measured

"""The cards of the shipped models: what each is, how it was trained, what was measured."""

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
from eval.attacks.purification import DiffPure, NoisyUpscale
from tiny.detection import UNSEEN
from tiny.faces import ATTRIBUTES, AttributeProbe, FacePictures
from tiny.identity import EVALUATION_START
from tiny.index import index_quality
from tiny.quality import (
    copy_quality,
    detector_quality,
    embedder_quality,
    evaluation_portraits,
    face_quality,
    generator_quality,
    latent_sensitivity,
    purifier_quality,
    reconstruction_psnr,
    sample_quality,
)


def write_card(folder: Path, title: str, about: str, measured: dict[str, Any]) -> None:
    """Write ``README.md`` beside the weights: what they are, how they were trained, what was measured."""
    training = read_json(folder / "training.json", dict[str, Any], "train it again")
    training |= {
        f"autoencoder: {key}": value
        for key, value in record(folder / "vae", "training.json").items()
    }
    sections = {
        "Training": table(training, ".3f"),
        "Measured on evaluation identities": table(measured, ".3f"),
    }
    write_text(folder / "README.md", card_body(f"# {title}\n\n{about}", sections))


def measure_faces(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """Title, description and figures of the face network."""
    return (
        "Face detector and embedder",
        "For drawn portraits of 64 pixels; says nothing of real faces.",
        face_quality(str(shipped / "faces")),
    )


@cache
def graded_probe(file: Path) -> tuple[AttributeProbe, dict[str, float]]:
    """The attribute probe, and the share of each attribute that it reads right off real renders."""
    probe = AttributeProbe()
    probe.load_state_dict(torch.load(file, weights_only=True))
    probe.eval()
    held_out = FacePictures(EVALUATION_START, 200, 2)
    with torch.no_grad():
        answers = [answer.argmax(dim=1) for answer in probe(held_out.images.float() / 255)]
    graded = zip(ATTRIBUTES, answers, held_out.attributes.T, strict=True)
    return probe, {
        key: float((answer == truth)[truth >= 0].float().mean()) for key, answer, truth in graded
    }


def measure_pipeline(shipped: Path, work: Path, name: str) -> tuple[str, str, dict[str, Any]]:
    """The same of a pipeline."""
    probe, renders = graded_probe(work / "probe" / "probe.pt")
    images = evaluation_portraits(64)
    vae = (
        AutoencoderKL.from_pretrained(shipped / name, subfolder="vae").eval().requires_grad_(False)
    )
    quality: dict[str, Any] = {"vae_psnr": reconstruction_psnr(vae, images)}
    quality |= {
        f"latents_moved_by_{key}": value
        for key, value in latent_sensitivity(vae, images[:32]).items()
    }
    quality |= sample_quality(shipped / name, str(shipped / "faces"), probe)
    quality["probe_right_on_real_renders"] = renders
    about = "A latent-diffusion pipeline for drawn portraits of 64 pixels; `StableDiffusionPipeline.from_pretrained` opens it."
    return f"Small pipeline {name}", about, quality


def measure_rid(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the generator."""
    pipelines = [str(shipped / name) for name in ("sd-a1", "sd-a2", "sd-b")]
    about = "Protects drawn portraits of 64 pixels against the three pipelines beside it; defends against nothing else."
    return (
        "Small RID generator",
        about,
        generator_quality(str(shipped / "rid"), pipelines, evaluation_portraits(64)),
    )


def measure_ddpm(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the unconditional model."""
    about = "Draws portraits, or parts of them, of 32 pixels from noise; DiffPure and GrIDPure wash drawn portraits with it."
    return (
        "Small unconditional model",
        about,
        purifier_quality(
            DiffPure(str(shipped / "ddpm")), evaluation_portraits(32), str(shipped / "faces")
        ),
    )


def measure_upscaler(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the upscaler."""
    method = NoisyUpscale(str(shipped / "upscaler"), "photo of a person", steps=25, guidance=3.0)
    about = "Draws portraits of 256 pixels from noisy ones of 64; `StableDiffusionUpscalePipeline.from_pretrained` opens it."
    return (
        "Small x4 upscaler",
        about,
        purifier_quality(method, evaluation_portraits(16), str(shipped / "faces")),
    )


def measure_detector(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the real-or-generated detector."""
    about = f"Tells drawn portraits from what the small pipelines draw; it has never seen {UNSEEN}. Says nothing of photographs."
    return "Small detector", about, detector_quality(str(shipped / "detector"), work / "detection")


def measure_copies(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the copy-detection network."""
    about = "Describes drawn pictures for copy detection, 64 values of unit length, for `python -m indexing`. Little use on photographs."
    return "Small copy-detection network", about, copy_quality(str(shipped / "copies"))


def measure_index(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the index."""
    about = "Descriptors of drawn pictures that are not kept, by the copy-detection network beside it; for the demo's tab Find."
    return "Small index of drawn pictures", about, index_quality(str(shipped / "index"))


def measure_embedder(shipped: Path, work: Path) -> tuple[str, str, dict[str, Any]]:
    """The same of the embedder that reads."""
    about = "Finds drawn portraits by what they look like and by keys set into them as `sentinels.plate` does; reads no other lettering."
    return "Small image-text embedder", about, embedder_quality(shipped / "embedder")


MEASURES: dict[str, Callable[[Path, Path], tuple[str, str, dict[str, Any]]]] = {
    "faces": measure_faces,
    **{name: partial(measure_pipeline, name=name) for name in ("sd-a1", "sd-a2", "sd-b")},
    "ddpm": measure_ddpm,
    "upscaler": measure_upscaler,
    "rid": measure_rid,
    "detector": measure_detector,
    "copies": measure_copies,
    "index": measure_index,
    "embedder": measure_embedder,
}


def measure(names: Sequence[str], shipped: Path, work: Path, write: bool) -> dict[str, Any]:
    """Measure shipped models, and write their cards if asked to.

    Args:
        names: Models of :data:`MEASURES`.
        shipped: Folder of the models.
        work: Folder of parts that do not ship.
        write: Replace the cards.
    """
    measured = {}
    for name in names:
        title, about, figures = MEASURES[name](shipped, work)
        if write:
            write_card(shipped / name, title, about, figures)
        measured[name] = figures
    return measured

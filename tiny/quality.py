"""Quality of the shipped models, measured on evaluation identities."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor

from engine.statistics import Interval, mean_interval
from eval.attacks.purification import DownUp, Purifier
from eval.metrics.denoising import denoising_errors
from eval.metrics.quality import fidelity, quantize
from images.metrics import psnr, ssim
from models.denoisers import open_family
from models.denoisers.schedules import DDPMSchedule
from models.faces.backends import load_faces
from models.pipelines import open_pipeline
from rid.ensemble import DiffusionEnsemble
from rid.weights import load_generator
from tiny.dataset import PortraitDataset
from tiny.faces import ATTRIBUTES, attribute_numbers
from tiny.figures import Figure, mean, share
from tiny.identity import EVALUATION_START, identity, phrases
from tiny.probe import AttributeProbe

BUDGET_LEVELS = 6
"""Budget of the sensitivity figures, in gray levels of 255."""


def latent_sensitivity(vae: AutoencoderKL, images: Tensor, steps: int = 15) -> dict[str, Figure]:
    """Measure how far a perturbation of 6 gray levels moves the latents.

    The distance is the root mean square of latents of unit variance. A real autoencoder (TAEF2,
    faces at 64 pixels) has 0.19 to 0.33 for noise and 0.97 for PGD.

    Args:
        vae: Autoencoder.
        images: (B, 3, S, S) in [0, 1].
        steps: Steps of PGD, each a quarter of the budget long.

    Returns:
        ``noise``: distance for uniform noise; ``pgd``: distance for PGD. Intervals are over images,
        at the standard deviation of these latents.
    """
    generator = torch.Generator().manual_seed(0)
    bound = BUDGET_LEVELS / 255
    with torch.no_grad():
        clean = vae.encode(images * 2 - 1).latent_dist.mode()
    std = clean.std()

    def squares(perturbed: Tensor) -> Tensor:
        latents = vae.encode(perturbed * 2 - 1).latent_dist.mode()
        return ((latents - clean) / std).square().mean(dim=(1, 2, 3))

    noise = (2 * torch.rand(images.shape, generator=generator) - 1) * bound
    delta = noise / 10
    for _ in range(steps):
        delta.requires_grad_(True)
        (gradient,) = torch.autograd.grad(squares(images + delta).sum(), delta)
        delta = (delta.detach() + bound / 4 * gradient.sign()).clamp(-bound, bound)
    with torch.no_grad():
        return {
            "noise": _root(mean(squares(images + noise), "images")),
            "pgd": _root(mean(squares(images + delta), "images")),
        }


def _root(figure: Figure) -> Figure:
    """Return the square root of a figure and of its interval."""
    interval = figure.interval
    if interval is not None:
        interval = Interval(max(0.0, interval.low) ** 0.5, interval.high**0.5)
    return Figure(figure.value**0.5, figure.units, interval)


@torch.no_grad()
def reconstruction_psnr(vae: AutoencoderKL, images: Tensor) -> Figure:
    """Compute the mean PSNR of reconstructions in dB, for images (B, 3, S, S) in [0, 1]."""
    output = vae.decode(vae.encode(images * 2 - 1).latent_dist.mode()).sample
    error = ((output / 2 + 0.5).clamp(0, 1) - images).square().mean(dim=(1, 2, 3))
    return mean(-10 * error.log10(), "images")


@torch.no_grad()
def sample_quality(
    folder: Path, faces: str, probe: AttributeProbe, count: int = 96
) -> dict[str, Figure | dict[str, Figure]]:
    """Measure samples of a pipeline for captions of evaluation identities.

    Args:
        folder: Folder of the pipeline.
        faces: Folder of the face network.
        probe: Attribute probe.
        count: Number of samples, one for each identity.

    Returns:
        Share of samples with a face, and the probe's accuracy for each attribute in the captions.
    """
    # Sample an image for each caption.
    family = open_family(str(folder))
    pipeline = open_pipeline(str(folder), family.pipeline_class)
    if isinstance(family.schedule(), DDPMSchedule):
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    people = list(range(EVALUATION_START, EVALUATION_START + count))
    captions = []
    for number in people:
        captions.append("photo of a person with " + ", ".join(phrases(identity(number))))
    batches = []
    for start in range(0, count, 16):
        samples = pipeline(
            captions[start : start + 16],
            num_inference_steps=25,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(start),
            output_type="pt",
        )
        batches.append(samples.images.float())
    images = torch.cat(batches)
    # Compare the probe's predictions with the attributes. Captions never name absent ones.
    labels = torch.tensor([attribute_numbers(number) for number in people])
    predictions = torch.stack([logits.argmax(dim=1) for logits in probe(images)], dim=1)
    accuracy = {}
    for index, (name, values) in enumerate(ATTRIBUTES.items()):
        first_named = 1 if values[0] == "none" else 0
        is_named = labels[:, index] >= first_named
        correct = predictions[is_named, index] == labels[is_named, index]
        accuracy[name] = share(correct, "samples")
    return {
        "face_share": share(load_faces(faces)(images).detected, "samples"),
        "attributes_right": accuracy,
    }


@torch.no_grad()
def generator_quality(
    name: str, surrogates: list[str], images: Tensor
) -> dict[str, Figure | dict[str, Figure]]:
    """Measure the denoising error of surrogates on clean, noisy and protected images.

    The noise is uniform within the generator's budget.

    Args:
        name: Folder of the generator.
        surrogates: Folders of the surrogate pipelines.
        images: (B, 3, S, S) in [0, 1].

    Returns:
        The budget, the errors as published and after scaling to half and back with the paired rise
        by protection, and the fidelity of the protected images.
    """
    generator = load_generator(name)
    ensemble = DiffusionEnsemble(surrogates)
    bound = generator.budget / 255
    uniform = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    noise = (2 * uniform - 1) * bound
    protected = quantize(generator.protect(images))
    published = {"clean": images, "noise": (images + noise).clamp(0, 1), "protected": protected}
    halve = DownUp(0.5)
    halved = {name: quantize(halve(shown, torch.Generator())) for name, shown in published.items()}
    return {
        "budget_levels": Figure(generator.budget),
        "denoising_error": _errors(ensemble, published),
        "denoising_error_after_half_size": _errors(ensemble, halved),
        **_fidelity(protected, quantize(images)),
    }


def _errors(ensemble: DiffusionEnsemble, shown: dict[str, Tensor]) -> dict[str, Figure]:
    """Measure the denoising error of each kind of images, and how much protection raises it."""
    errors = {name: denoising_errors(ensemble, images) for name, images in shown.items()}
    figures = {name: mean(of, "images") for name, of in errors.items()}
    rise = mean(errors["protected"] - errors["clean"], "images")
    return figures | {"protected minus clean": rise}


def _fidelity(protected: Tensor, clean: Tensor) -> dict[str, Figure]:
    """Measure PSNR in dB of the whole set, mean SSIM, and the largest change in gray levels."""
    measured = fidelity(protected, clean)
    units = f"{len(clean)} images"
    error = mean_interval((protected - clean).square().mean(dim=(1, 2, 3)).numpy())
    of_set = None if error is None else Interval(psnr(error.high, 1.0), psnr(error.low, 1.0))
    similarity = [ssim(one[None], other[None]) for one, other in zip(protected, clean, strict=True)]
    return {
        "psnr": Figure(measured["psnr"], units, of_set),
        "ssim": mean(similarity, "images"),
        "levels": Figure(measured["levels"], f"{units}, the largest"),
    }


@torch.no_grad()
def purifier_quality(method: Purifier, images: Tensor, faces: str) -> dict[str, Figure]:
    """Measure the effect of a purification on clean portraits.

    Args:
        method: The purification.
        images: Portraits, (B, 3, S, S) in [0, 1].
        faces: Folder of the face network.

    Returns:
        PSNR in dB, and the share of purified portraits with a detected face.
    """
    batches = [method(part, torch.Generator().manual_seed(0)) for part in images.split(8)]
    purified = torch.cat(batches)
    error = (purified - images).square().mean(dim=(1, 2, 3))
    return {
        "psnr_of_clean_portraits": mean(-10 * error.log10(), "images"),
        "face_share": share(load_faces(faces)(purified).detected, "images"),
    }


def evaluation_portraits(count: int) -> Tensor:
    """Draw portraits of evaluation identities, one each, (count, 3, 64, 64) in [0, 1]."""
    portraits = PortraitDataset(EVALUATION_START, count, 1)
    return torch.stack([item["image"] for item in portraits.__getitems__(list(range(count)))])

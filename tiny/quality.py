"""What the shipped models are worth, measured on evaluation identities."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from torch import Tensor

from checkpoints.folders import model_folder
from detectors.detector import load_detector
from detectors.scoring import ScoreJob, detector_settings, find_stored, score, shard_by_shard
from detectors.summary import summarise
from engine.devices import DeviceOptions
from engine.job import JobOptions
from eval.attacks.purification import Purifier
from eval.metrics.denoising import denoising_error
from eval.metrics.identity import load_face_net, load_faces
from eval.metrics.quality import fidelity, quantize
from images.io import to_uint8
from images.transforms import PAPER, Chain, Edit, flatten_suite
from models.embedders import open_embedder
from rid.ensemble import DiffusionEnsemble
from rid.weights import load_generator
from sentinels.keys import ALPHABET
from sentinels.plate import set_key
from sentinels.reader import load_network
from tiny.collages import collage
from tiny.dataset import PortraitDataset
from tiny.faces import (
    ATTRIBUTES,
    FACELESS,
    AttributeProbe,
    FacePictures,
    attribute_numbers,
    faceless,
)
from tiny.identity import EVALUATION_START, identity, phrases

LEVELS = 6
"""Budget of the sensitivity figures, in grey levels."""


def latent_sensitivity(vae: AutoencoderKL, images: Tensor, steps: int = 15) -> dict[str, float]:
    """How far a perturbation of 6 grey levels moves unit-variance latents, as a root mean square.

    Args:
        vae: The autoencoder.
        images: (B, 3, S, S) in [0, 1].
        steps: Of gradient ascent on the distance, each a quarter of the budget long.

    Returns:
        ``noise``: uniform random noise; ``pgd``: ascent. A real autoencoder (TAEF2, faces at 64 pixels) has 0.19 to 0.33 and 0.97.
    """
    source, bound = torch.Generator().manual_seed(0), LEVELS / 255
    with torch.no_grad():
        clean = vae.encode(images * 2 - 1).latent_dist.mode()
    unit = clean.std()

    def moved(pictures: Tensor) -> Tensor:
        return (
            (vae.encode(pictures * 2 - 1).latent_dist.mode() - clean).square().mean().sqrt()
        ) / unit

    noise = (2 * torch.rand(images.shape, generator=source) - 1) * bound
    change = noise / 10
    for _ in range(steps):
        change.requires_grad_(True)
        (gradient,) = torch.autograd.grad(moved(images + change), change)
        change = (change.detach() + bound / 4 * gradient.sign()).clamp(-bound, bound)
    with torch.no_grad():
        return {"noise": float(moved(images + noise)), "pgd": float(moved(images + change))}


@torch.no_grad()
def reconstruction_psnr(vae: AutoencoderKL, images: Tensor) -> float:
    """Mean over pictures of the PSNR of the round trip, in dB."""
    output = vae.decode(vae.encode(images * 2 - 1).latent_dist.mode()).sample
    error = ((output / 2 + 0.5).clamp(0, 1) - images).square().mean(dim=(1, 2, 3))
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def sample_quality(
    folder: Path, faces: str, probe: AttributeProbe, count: int = 96
) -> dict[str, Any]:
    """Pictures drawn from evaluation people's captions: share with a face, and share of named attributes that are right."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)
    people = list(range(EVALUATION_START, EVALUATION_START + count))
    captions = [
        "photo of a person with " + ", ".join(phrases(identity(number))) for number in people
    ]
    images = torch.cat(
        [
            pipeline(
                captions[start : start + 16],
                num_inference_steps=25,
                guidance_scale=3.0,
                generator=torch.Generator().manual_seed(start),
                output_type="pt",
            ).images.float()
            for start in range(0, count, 16)
        ]
    )
    wanted = torch.tensor([attribute_numbers(number) for number in people])
    answers = torch.stack([answer.argmax(dim=1) for answer in probe(images)], dim=1)
    right = {}
    for index, (name, values) in enumerate(ATTRIBUTES.items()):
        named = wanted[:, index] >= (
            1 if values[0] == "none" else 0
        )  # a caption never says that something is not there
        right[name] = float((answers[named, index] == wanted[named, index]).float().mean())
    return {
        "face_share": float(load_faces(faces)(images).detected.float().mean()),
        "attributes_right": right,
    }


@torch.no_grad()
def face_quality(faces: str) -> dict[str, Any]:
    """Verification AUC, misses on clean portraits, and false alarms on each kind of picture without a face."""
    network = load_face_net(model_folder(faces))
    people = FacePictures(EVALUATION_START, 100, 8)
    images = people.images.float() / 255
    seen = [network(part) for part in images.split(100)]
    embeddings, found = (
        torch.cat([f.embeddings for f in seen]),
        torch.cat([f.detected for f in seen]),
    )
    cosine, same = embeddings @ embeddings.T, people.labels.view(-1, 1) == people.labels
    pairs = torch.ones_like(same).triu(1)
    mine, others = cosine[same & pairs].numpy(), np.sort(cosine[~same & pairs].numpy())
    torch.manual_seed(0)
    scenes = FacePictures(EVALUATION_START, 400, 1, empty=True).images.float() / 255
    broken = network(faceless(images[::2], scenes)).detected.float()
    alarms = {
        kind: float(part.mean())
        for kind, part in zip(FACELESS, broken.tensor_split(len(FACELESS)), strict=True)
    }
    return {
        "auc": float(np.searchsorted(others, mine).mean() / len(others)),
        "same_person_cosine": float(mine.mean()),
        "other_person_cosine": float(others.mean()),
        "misses": float(1 - found.float().mean()),
        "false_alarms": alarms,
        "threshold": network.threshold,
    }


@torch.no_grad()
def generator_quality(name: str, surrogates: list[str], images: Tensor) -> dict[str, Any]:
    """Denoising error of the surrogates on clean pictures, with uniform noise of the generator's budget, and protected by it; fidelity."""
    generator, ensemble = load_generator(name), DiffusionEnsemble(surrogates)
    bound = generator.budget / 255
    noise = (2 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 1) * bound
    protected = quantize(generator.protect(images))
    shown = {"clean": images, "noise": (images + noise).clamp(0, 1), "protected": protected}
    errors = {name: denoising_error(ensemble, pictures) for name, pictures in shown.items()}
    return {"budget_levels": generator.budget, "denoising_error": errors} | fidelity(
        protected, quantize(images)
    )


@torch.no_grad()
def purifier_quality(method: Purifier, images: Tensor, faces: str) -> dict[str, float]:
    """What a purification by a shipped model does to clean portraits: PSNR, and the share in which a face is still found."""
    washed = torch.cat([method(part, torch.Generator().manual_seed(0)) for part in images.split(8)])
    error = (washed - images).square().mean(dim=(1, 2, 3))
    seen = load_faces(faces)(washed).detected.float().mean()
    return {
        "psnr_of_clean_portraits": float((-10 * error.log10()).mean()),
        "face_share": float(seen),
    }


def embedder_quality(folder: Path, count: int = 48) -> dict[str, float]:
    """Keys set into evaluation portraits and read again, letters seen where none are, and portraits found by keys and by captions."""
    network, rng = load_network(str(folder)), np.random.default_rng(0)
    items = PortraitDataset(EVALUATION_START + 300_000, count, 1, 128).__getitems__(
        list(range(count))
    )
    plain = [to_uint8(item["image"]).permute(1, 2, 0).numpy() for item in items]
    keys = ["".join(rng.choice(list(ALPHABET), 6)) for _ in plain]
    keyed = [
        set_key(np.ascontiguousarray(rgb), key, rng).rgb
        for rgb, key in zip(plain, keys, strict=True)
    ]
    images, bare = (
        torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 255
        for part in (keyed, plain)
    )
    read = network.read(images)
    letters = sum(
        seen == true
        for text, key in zip(read, keys, strict=True)
        for seen, true in zip(text, key, strict=False)
    )
    vectors, order = network.embed_images(torch.cat([images, bare])), torch.arange(count)
    by_key = (network.embed_texts(keys) @ vectors.T).argmax(dim=1)
    by_caption = (
        network.embed_texts([item["caption"] for item in items]) @ vectors[count:].T
    ).argsort(dim=1, descending=True)
    return {
        "keys_read": sum(text == key for text, key in zip(read, keys, strict=True)) / count,
        "letters_read": letters / (6 * count),
        "letters_seen_without_a_key": sum(len(text) for text in network.read(bare)) / count,
        "found_by_key": float((by_key == order).float().mean()),
        "found_by_caption_among_first_ten": float(
            (by_caption[:, :10] == order.unsqueeze(1)).any(dim=1).float().mean()
        ),
    }


def detector_quality(name: str, shards: Path) -> dict[str, Any]:
    """The test of the real-or-generated detector, the pipeline it has not seen included."""
    detector = load_detector(name)
    questions = shard_by_shard(detector, find_stored([detector], [f"{shards}/test-*.tar"]))
    with TemporaryDirectory() as folder:
        job = ScoreJob(
            "tiny quality",
            Path(folder) / "shards",
            JobOptions(DeviceOptions("cpu"), batch_size=64, workers=0),
        )
        answers = score(job, questions, Path(folder), detector_settings(name, detector))
    assert answers is not None
    record = summarise(answers.of(questions), detector.calibration)
    by_subset = {
        name: facts
        for name, facts in record["slices"]["subset"].items()
        if facts["auc"] is not None
    }
    shown = {
        name: {key: facts[key] for key in ("auc", "generated_accuracy")}
        for name, facts in by_subset.items()
    }
    chosen = ("balanced_accuracy", "real_accuracy", "generated_accuracy", "calibration_error")
    told = {
        kind: {key: record[kind][key] for key in chosen} for kind in ("uncalibrated", "calibrated")
    }
    return record["ranking"] | told | shown


def evaluation_portraits(count: int) -> Tensor:
    """Portraits of people nobody trained on, one each, (count, 3, 64, 64) in [0, 1]."""
    return torch.stack(
        [
            item["image"]
            for item in PortraitDataset(EVALUATION_START, count, 1).__getitems__(list(range(count)))
        ]
    )


@torch.no_grad()
def copy_quality(name: str, pictures: int = 200) -> dict[str, Any]:
    """How often a copy's nearest original among evaluation collages is its own, by exact search.

    Args:
        name: Folder of the copy-detection network.
        pictures: How many originals.

    Returns:
        ``found`` by edit: share of copies; ``strangers``: mean cosine of two different pictures.
    """
    extractor = open_embedder(name)
    originals = [collage(EVALUATION_START + number) for number in range(pictures)]

    def described(edit: Edit) -> Tensor:
        views = [
            extractor.preprocess(edit(rgb, np.random.default_rng(number)))
            for number, rgb in enumerate(originals)
        ]
        return torch.cat(
            [
                extractor.embed_images(torch.stack(views[start : start + 100]))
                for start in range(0, pictures, 100)
            ]
        )

    known, own = described(Chain(())), torch.arange(pictures)
    edits = {f"{kind} {parameter}".strip(): edit for kind, parameter, edit in flatten_suite(PAPER)}
    found = {
        edit: float(((described(change) @ known.T).argmax(dim=1) == own).float().mean())
        for edit, change in edits.items()
    }
    cosines = known @ known.T
    return {
        "found": found,
        "strangers": float((cosines.sum() - pictures) / (pictures * (pictures - 1))),
    }

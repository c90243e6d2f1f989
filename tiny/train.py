"""The recipes that trained ``checkpoints/tiny``, each from its seed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from diffusers import AutoencoderKL, UNet2DConditionModel
from jsonargparse import ArgumentParser
from lightning import seed_everything
from transformers import CLIPTextModel, CLIPTokenizer

from checkpoints.folders import ROOT
from datamodules.datamodule import ImageDataModule
from detectors.cli import main as sentry
from detectors.evaluate import calibrate
from engine.devices import DeviceOptions
from engine.job import JobOptions
from engine.training import TrainingCLI
from models.copy_net import CopyNet
from models.faces.face_net import FaceNet
from models.image_text_net import ImageTextNet
from models.pipelines import open_autoencoder
from rid.pairs.config import PairConfig
from rid.pairs.job import make_pairs
from rid.training.cli import main as rid
from rid.weights import save_generator
from tiny.autoencoder import AutoencoderTask, build_autoencoder, whiten
from tiny.copies import CopyPictures, CopyTask, fit_projection
from tiny.dataset import PortraitDataset
from tiny.detection import SEEN, DetectionSizes, make_detection_shards
from tiny.diffusion import (
    DiffusionTask,
    LatentDataset,
    build_text_encoder,
    build_tokenizer,
    build_unet,
    pipeline,
    save_half,
    tokenize,
)
from tiny.export import export_portraits
from tiny.faces import (
    AttributeProbe,
    FacePictures,
    FaceTask,
    ProbeTask,
    SamePeople,
    calibrated_threshold,
)
from tiny.fitting import Place, fit, record
from tiny.folder import CaptionedPictures, captioned_folder
from tiny.index import build_drawn_index
from tiny.reading import KeyedPortraits, ReadingTask, vocabulary
from tiny.unconditional import UnconditionalTask, Views, build_denoiser, save_unconditional
from tiny.upscaler import Crops, UpscalerTask, build_upscaler, rescale, save_upscaler

TRAINING_PEOPLE = 20_000
VALIDATION_FIRST = 900_000
"""Identities from here on are trained on by nothing, but are not evaluation identities either: they choose and calibrate."""

Captioned = PortraitDataset | CaptionedPictures


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Widths per level, latent channels, optimiser steps at a batch of 8, and seed."""

    channels: tuple[int, ...]
    latent_channels: int
    steps: int
    seed: int

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        seed_everything(self.seed, verbose=False)
        network = build_autoencoder(self.channels, self.latent_channels)
        total = steps or self.steps
        task = AutoencoderTask(network, total, lr=1.5e-3, edge_weight=0.15, kl_weight=1e-6)
        train, held_out, note = sources(place, TRAINING_PEOPLE, 8, 64)
        seconds = fit(
            task, ImageDataModule(train, held_out, batch_size=8), total, place.work / name
        )
        network.eval()
        some = range(0, min(4096, len(train)), 8)  # of drawn people the first picture of each
        whiten(network, torch.stack([item["image"] for item in train.__getitems__(list(some))]))
        network.save_pretrained(place.work / name)
        record(place.work / name, self.seed, total, 8, seconds, note)


@dataclass(frozen=True)
class DiffusionRecipe:
    """A pipeline on an autoencoder: trained anew, or continued from another one, as Stable Diffusion's versions were.

    Attributes:
        autoencoder: Name of the autoencoder recipe.
        steps: Optimiser steps at a batch of 32.
        seed: Of initialisation and data.
        origin: Shipped pipeline to go on from; None trains anew.
    """

    autoencoder: str
    steps: int
    seed: int
    origin: str | None = None
    channels: tuple[int, ...] = (64, 96)
    text_width: int = 96
    pictures: int = 24_000

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        seed_everything(self.seed, verbose=False)
        total = steps or self.steps
        vae = open_autoencoder(place.autoencoder or place.work / self.autoencoder)
        train, held_out, note = sources(place, self.pictures // 4, 4, 128)
        if self.origin is None:
            tokenizer = build_tokenizer(
                [train.caption(index) for index in range(0, min(8000, len(train)), 2)]
            )
            text_encoder = build_text_encoder(tokenizer, self.text_width, layers=2)
            unet = build_unet(
                vae.config.latent_channels,
                place.size // 8,
                self.channels,
                self.text_width,
                head_width=16,
            )
        else:
            origin = place.shipped / self.origin
            tokenizer = CLIPTokenizer.from_pretrained(origin / "tokenizer")
            text_encoder = CLIPTextModel.from_pretrained(
                origin / "text_encoder", dtype=torch.float32
            )
            unet = UNet2DConditionModel.from_pretrained(origin / "unet", dtype=torch.float32)
            note += f"; continued from {self.origin}"
        latents, unseen = (LatentDataset.encode(part, vae, tokenizer) for part in (train, held_out))
        empty = tokenize(tokenizer, [""])[0]
        task = DiffusionTask(
            unet, text_encoder, empty, total, lr=1.5e-3 if self.origin is None else 5e-4
        )
        seconds = fit(
            task, ImageDataModule(latents, unseen, batch_size=32), total, place.work / name
        )
        save_half(pipeline(vae, unet.eval(), text_encoder.eval(), tokenizer), place.shipped / name)
        if (first := place.work / self.autoencoder / "training.json").is_file():
            shutil.copy(first, place.shipped / name / "vae")
        record(place.shipped / name, self.seed, total, 32, seconds, note)


def sources(
    place: Place, people: int, pictures: int, unseen: int
) -> tuple[Captioned, Captioned, str]:
    """Pictures to train on, others that are held out, and where they are from in words."""
    if place.data is not None:
        train, held_out = captioned_folder(place.data, place.size)
        return train, held_out, f"{len(train)} pictures of a folder"
    drawn = PortraitDataset(0, people, pictures), PortraitDataset(VALIDATION_FIRST, unseen, 1)
    return *drawn, f"{people} identities x {pictures} pictures"


def train_faces(
    place: Place, name: str, steps: int | None = None, people: int = 3000, pictures: int = 10
) -> None:
    """The face detector and embedder."""
    seed_everything(3, verbose=False)
    total = steps or 1500
    data = FacePictures(0, people, pictures)
    scenes = FacePictures(people, 1500, 1, empty=True).images
    network = FaceNet().to(memory_format=torch.channels_last)  # a quarter faster on a CPU
    seconds = fit(
        FaceTask(network, scenes, total),
        ImageDataModule(SamePeople(data, 4), batch_size=16),
        total,
        place.work / name,
    )
    calibrated = FaceNet(
        threshold=calibrated_threshold(network.eval(), FacePictures(VALIDATION_FIRST, 250, 4))
    )
    calibrated.load_state_dict(network.state_dict())
    calibrated.half().save_pretrained(place.shipped / name)
    record(
        place.shipped / name,
        3,
        total,
        64,
        seconds,
        f"{people} identities x {pictures} pictures, half as many pictures without a face",
    )


def train_probe(
    place: Place, name: str, steps: int | None = None, people: int = 5000, pictures: int = 4
) -> None:
    """The attribute probe; used to grade the pipelines, not shipped."""
    seed_everything(4, verbose=False)
    total = steps or 800
    probe = AttributeProbe()
    seconds = fit(
        ProbeTask(probe, total),
        ImageDataModule(FacePictures(0, people, pictures), batch_size=64),
        total,
        place.work / name,
    )
    (place.work / name).mkdir(parents=True, exist_ok=True)
    torch.save(probe.state_dict(), place.work / name / "probe.pt")
    record(place.work / name, 4, total, 64, seconds, f"{people} identities x {pictures} pictures")


def train_unconditional(
    place: Place, name: str, steps: int | None = None, people: int = 6000, pictures: int = 4
) -> None:
    """The unconditional model of the diffusion purifiers."""
    seed_everything(9, verbose=False)
    total = steps or 6000
    network = build_denoiser((32, 64, 96))
    train, held_out, note = sources(place, people, pictures, 128)
    task = UnconditionalTask(network, total, lr=1e-3)
    seconds = fit(
        task,
        ImageDataModule(Views(train), Views(held_out), batch_size=32),
        total,
        place.work / name,
    )
    save_unconditional(network.eval(), place.shipped / name)
    record(place.shipped / name, 9, total, 32, seconds, note)


def train_upscaler(place: Place, name: str, steps: int | None = None, people: int = 2000) -> None:
    """The x4 upscaler of the noisy upscaling purifier, told what to draw by the first pipeline's text encoder."""
    seed_everything(11, verbose=False)
    total = steps or 4500
    vae = AutoencoderKL.from_pretrained(place.work / "vae-up").eval()
    rescale(vae)
    tokenizer = CLIPTokenizer.from_pretrained(place.shipped / "sd-a1" / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(
        place.shipped / "sd-a1" / "text_encoder", dtype=torch.float32
    ).eval()
    portraits = (
        PortraitDataset(first, count, 1, size=256)
        for first, count in ((0, people), (VALIDATION_FIRST, 32))
    )
    data, held_out = (Crops.encode(drawn, vae, tokenizer, encoder) for drawn in portraits)
    with torch.no_grad():
        empty = encoder(tokenize(tokenizer, [""])).last_hidden_state[0]
    unet = build_upscaler((32, 64, 96), encoder.config.hidden_size)
    seconds = fit(
        UpscalerTask(unet, empty, total, lr=1e-3),
        ImageDataModule(data, held_out, batch_size=16),
        total,
        place.work / name,
    )
    save_upscaler(vae, unet.eval(), encoder, tokenizer, place.shipped / name)
    record(
        place.shipped / name,
        11,
        total,
        16,
        seconds,
        f"{people} portraits of 256 pixels, one of each identity, in windows",
    )


def train_rid(
    place: Place, name: str, steps: int | None = None, people: int = 1500, pictures: int = 4
) -> None:
    """The protecting generator: gradient-based perturbations of training people are made, learned, and then joined by Adv-SDS."""
    start, work = time.monotonic(), place.work / name
    surrogates = [str(place.shipped / pipeline) for pipeline in ("sd-a1", "sd-a2", "sd-b")]
    export_portraits(work / "portraits", people, pictures, first=0)
    reader = ArgumentParser(exit_on_error=False)
    reader.add_class_arguments(PairConfig, "pairs")
    parsed = reader.parse_object(
        {"pairs": yaml.safe_load(PAIRS_CONFIG.read_text()) | {"models": surrogates}}
    )
    make_pairs(
        [work / "portraits"],
        work / "pairs",
        reader.instantiate_classes(parsed).pairs,
        JobOptions(DeviceOptions("cpu", 1)),
    )
    pairs, common = (
        str(work / "pairs" / "pairs.json"),
        {"model.surrogates": json.dumps(surrogates), "trainer.accelerator": "cpu"},
    )
    if steps:
        common |= {
            "trainer.max_steps": str(steps),
            "model.warmup_steps": "0",
            "trainer.val_check_interval": "1",
        }
    first = _fit(
        REGRESSION_CONFIG,
        work / "regression",
        common | {"data.init_args.train.init_args.path": pairs},
    )
    taught = {"model.generator.init_args.name": f"{first.trainer.log_dir}/generator"}
    run = _fit(
        COMBINED_CONFIG,
        work / "combined",
        common | taught | {"data.init_args.train.init_args.pairs.init_args.path": pairs},
    )
    shutil.copytree(
        Path(run.trainer.log_dir or "") / "generator", place.shipped / name, dirs_exist_ok=True
    )
    save_generator(run.model.generator.half(), place.shipped / name)
    note = f"{people * pictures} pairs of {people} identities; {first.trainer.global_step} steps of regression before"
    record(
        place.shipped / name,
        0,
        run.trainer.global_step,
        run.datamodule.batch_size,
        time.monotonic() - start,
        note,
    )


def train_detector(
    place: Place, name: str, steps: int | None = None, sizes: DetectionSizes = DetectionSizes()
) -> None:
    """The real-or-generated detector: two recipes are trained on the same shards, the better one on validation pictures is calibrated."""
    start, shards = time.monotonic(), place.work / "detection"
    make_detection_shards(place.shipped, shards, sizes)
    parts = [
        *(f"{pipeline}-0*" for pipeline in SEEN),
        f"{SEEN[0]}-vae-*",
    ]  # the 0 begins a shard's number
    settings = {
        "data.real": json.dumps([{"urls": f"{shards}/train-portraits-*.tar"}]),
        "data.generated": json.dumps([{"urls": f"{shards}/train-{part}.tar"} for part in parts]),
        "data.val": json.dumps([f"{shards}/val-*.tar"]),
    }
    if steps:
        settings |= {
            "trainer.max_steps": str(steps),
            "trainer.max_epochs": "-1",
            "model.warmup_steps": "0",
        }
        settings |= {
            "trainer.val_check_interval": str(steps),
            "trainer.check_val_every_n_epoch": "null",
        }
    runs = {}
    for config in DETECTOR_CONFIGS:
        given = settings | {"trainer.default_root_dir": str(place.work / config.stem)}
        runs[config.stem] = sentry(
            ["fit", "-c", str(config), *(f"--{key}={value}" for key, value in given.items())]
        )
    reached = {key: float(run.trainer.callback_metrics["val/auc"]) for key, run in runs.items()}
    best = max(reached, key=lambda key: reached[key])
    runs[best].model.detector.half().save_pretrained(place.shipped / name)
    calibrate(
        str(place.shipped / name),
        [f"{shards}/calibration-*.tar"],
        JobOptions(DeviceOptions("cpu"), batch_size=64, workers=0),
    )
    words = ", ".join(f"{key} {value:.3f}" for key, value in reached.items())
    note = f"{sizes.train} portraits, samples of {' and '.join(SEEN)}, reconstructions by {SEEN[0]}; validation AUC: {words}"
    run = runs[best]
    record(
        place.shipped / name,
        0,
        run.trainer.global_step,
        run.datamodule.batch_size,
        time.monotonic() - start,
        note,
    )


def train_copies(
    place: Place,
    name: str,
    steps: int | None = None,
    collages: int = 4000,
    portraits: int = 800,
    windows: int = 800,
) -> None:
    """The copy-detection network."""
    seed_everything(12, verbose=False)
    total = steps or 1800
    data, held_out = (
        CopyPictures(0, collages, portraits, windows),
        CopyPictures(VALIDATION_FIRST, 100, 28, 0),
    )
    network = CopyNet().to(memory_format=torch.channels_last)
    seconds = fit(
        CopyTask(network, total),
        ImageDataModule(data, held_out, batch_size=64),
        total,
        place.work / name,
    )
    part = CopyPictures(0, collages * 3 // 8, portraits * 3 // 8, windows * 3 // 8)
    fit_projection(network.half().float(), part)  # as the weights are shipped
    trained = CopyNet(standardise=True)
    trained.load_state_dict(network.state_dict())
    trained.eval().half().save_pretrained(place.shipped / name)
    note = f"{collages} collages, {portraits} portraits, {windows} windows of scikit-image's and scikit-learn's photographs without people"
    note += "; then the linear layer in closed form on three eighths of them"
    record(place.shipped / name, 12, total, 64, seconds, note)


def train_index(
    place: Place, name: str, steps: int | None = None, training: int = 3000, entries: int = 2000
) -> None:
    """The index of drawn pictures; it has no steps."""
    start = time.monotonic()
    build_drawn_index(place.shipped / name, str(place.shipped / "copies"), training, entries)
    record(
        place.shipped / name,
        0,
        0,
        training,
        time.monotonic() - start,
        f"{training} collages train it, {entries} others fill it",
    )


def train_embedder(place: Place, name: str, steps: int | None = None, people: int = 400) -> None:
    """The image-text embedder that reads keys."""
    seed_everything(13, verbose=False)
    total = steps or 700
    data, held_out = (
        KeyedPortraits(50_000, people, 128, seed=13),
        KeyedPortraits(VALIDATION_FIRST, 2, 128, seed=14, keyed=1),
    )
    network = ImageTextNet(vocabulary(data.captions)).to(memory_format=torch.channels_last)
    task = ReadingTask(network, data.captions, total)
    seconds = fit(task, ImageDataModule(data, held_out, batch_size=16), total, place.work / name)
    network.eval().half().save_pretrained(place.shipped / name)
    record(
        place.shipped / name,
        13,
        total,
        16,
        seconds,
        f"{people} portraits of 128 pixels, four of five with a key set into them",
    )


def _fit(config: Path, root: Path, settings: dict[str, str]) -> TrainingCLI:
    settings = settings | {"trainer.default_root_dir": str(root)}
    return rid(["fit", "-c", str(config), *(f"--{key}={value}" for key, value in settings.items())])


PAIRS_CONFIG = ROOT / "configs" / "rid" / "pairs_tiny.yaml"
REGRESSION_CONFIG = ROOT / "configs" / "rid" / "tiny_regression.yaml"
COMBINED_CONFIG = ROOT / "configs" / "rid" / "tiny_combined.yaml"
DETECTOR_CONFIGS = tuple(
    ROOT / "configs" / "detectors" / f"tiny_{name}.yaml" for name in ("npr", "patches")
)

RECIPES: dict[str, Callable[..., None]] = {
    "faces": train_faces,
    "probe": train_probe,
    "vae-a": AutoencoderRecipe((24, 48, 80, 96), 16, 4000, seed=1),
    "vae-b": AutoencoderRecipe((16, 48, 64, 96), 16, 4500, seed=2),
    "sd-a1": DiffusionRecipe("vae-a", 9_000, seed=5),
    "sd-a2": DiffusionRecipe("vae-a", 1_500, seed=7, origin="sd-a1", pictures=12_000),
    "sd-b": DiffusionRecipe("vae-b", 9_000, seed=8),
    "ddpm": train_unconditional,
    "vae-up": AutoencoderRecipe((16, 32, 48), 4, 3000, seed=10),
    "upscaler": train_upscaler,
    "rid": train_rid,
    "detector": train_detector,
    "copies": train_copies,
    "index": train_index,
    "embedder": train_embedder,
}
"""Every shipped model and the parts on the way there, in the order of need."""

FROM_FOLDERS = ("vae-a", "vae-b", "sd-a1", "sd-a2", "sd-b", "ddpm")
"""Models that can learn from any pictures; the others need to know who is drawn."""

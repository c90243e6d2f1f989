"""Cases: a small run of every command that resumes, and its expected outputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.killed.left import Files, all_but_the_page, every_file, from_last, trained, trained_alike
from tests.killed.world import TINY, World


@dataclass(frozen=True)
class Case:
    """A command to kill.

    Attributes:
        name: What it is called in reports.
        command: Its words after ``python -m``, from the world and the output folder.
        claimed: Glob of the file in the output folder with which work begins.
        found: The files that a run must leave the same as an unbroken one.
        again: Words that the command has when it goes on, from the output folder.
    """

    name: str
    command: Callable[[World, str], list[str]]
    claimed: str = "manifest.json"
    found: Callable[[Path], Files] = every_file
    again: Callable[[Path], list[str]] = field(default=lambda output: [])


ONE = ["--accelerator", "cpu", "--devices", "1"]
"""No more than one process, wherever the tests run."""


def _protect(world: World, output: str) -> list[str]:
    return [
        "rid",
        "protect",
        world.photos,
        "-o",
        output,
        "--weights",
        f"{TINY}/rid",
        "--batch_size",
        "2",
        *ONE,
    ]


def _protect_archive(world: World, output: str) -> list[str]:
    return [
        "rid",
        "protect",
        world.archive,
        "-o",
        output,
        "--weights",
        f"{TINY}/rid",
        "--batch_size",
        "2",
        *ONE,
    ]


def _protect_in_two(world: World, output: str) -> list[str]:
    words = [
        "rid",
        "protect",
        world.photos,
        "-o",
        output,
        "--weights",
        f"{TINY}/rid",
        "--batch_size",
        "1",
    ]
    return [*words, "--accelerator", "cpu", "--devices", "2"]


def _pairs(world: World, output: str, **more) -> list[str]:
    pgd = {"steps": 2, "outer_steps": 1, "step_size": 2.0}
    settings = {
        "objective": {
            "class_path": "rid.pairs.objectives.Denoising",
            "init_args": {"models": [str(TINY / "sd-a1")]},
        },
        "side": 64,
        "alternate_models": False,
        "pgd": pgd,
        "batch_size": 3,
    } | more
    return [
        "rid",
        "pairs",
        world.photos,
        "-o",
        output,
        "-c",
        world.config(f"pairs{len(more)}", settings),
        *ONE,
    ]


def _activate(world: World, output: str) -> list[str]:
    words = [
        "indexing",
        "activate",
        world.photos,
        "-o",
        output,
        "--index",
        f"{TINY}/index",
        "--extractor.name",
        f"{TINY}/copies",
    ]
    return [*words, "--batch_size", "2", "--activation.iterations", "3", *ONE]


def _extract(world: World, output: str) -> list[str]:
    words = [
        "indexing",
        "extract",
        world.photos,
        "-o",
        output,
        "--extractor.name",
        f"{TINY}/copies",
        "--fts",
        "true",
    ]
    return [*words, "--batch_size", "1", *ONE]


def _embed(world: World, output: str) -> list[str]:
    return [
        "sentinels",
        "embed",
        world.photos,
        "-o",
        output,
        "--weights",
        f"{TINY}/embedder",
        "--batch_size",
        "1",
        *ONE,
    ]


def _scan(world: World, output: str) -> list[str]:
    words = [
        "detectors",
        "scan",
        world.photos,
        "-o",
        f"{output}/scores.csv",
        "--weights",
        f"{TINY}/detector",
        "--html",
    ]
    return [*words, "--batch_size", "1", *ONE]


def _features(world: World, output: str) -> list[str]:
    words = [
        "detectors",
        "features",
        world.frozen,
        "--data",
        f"[{world.shards}/*.tar]",
        "-o",
        output,
    ]
    return [*words, "--batch_size", "4", "--workers", "0", *ONE]


def _plant(world: World, output: str) -> list[str]:
    return [
        "sentinels",
        "plant",
        world.photos,
        "-o",
        output,
        "--count",
        "6",
        "--seed",
        "0",
        "--concurrency",
        "2",
    ]


def _shard(world: World, output: str) -> list[str]:
    words = [
        "datamodules",
        "shard",
        world.photos,
        "--label",
        "real",
        "--split",
        "val",
        "--name",
        "photos",
        "-o",
        output,
    ]
    return [*words, "--limits.samples", "4"]


def _test(world: World, output: str) -> list[str]:
    words = [
        "detectors",
        "test",
        f"{TINY}/detector",
        "--data",
        f"[{world.shards}/val-*.tar]",
        "-o",
        output,
    ]
    return [*words, "--resamples", "40", "--batch_size", "4", "--workers", "0", *ONE]


def _robustness(world: World, output: str) -> list[str]:
    words = [
        "detectors",
        "robustness",
        f"{TINY}/detector",
        "--data",
        f"[{world.shards}/val-*-000000.tar]",
        "-o",
        output,
    ]
    return [*words, "--batch_size", "4", "--workers", "0", *ONE]


def _retrieval(world: World, output: str) -> list[str]:
    words = [
        "eval",
        "retrieval",
        "-o",
        output,
        "--index",
        world.index,
        "--originals",
        world.photos,
        "--arms.passive",
        world.photos,
    ]
    return [
        *words,
        "--extractor.name",
        f"{TINY}/copies",
        "--k",
        "5",
        "--resamples",
        "20",
        "--batch_size",
        "2",
        *ONE,
    ]


def _purify(world: World, output: str) -> list[str]:
    method = ["--method", "DiffPure", "--method.model", f"{TINY}/ddpm", "--method.steps", "4"]
    return ["eval", "purify", world.photos, "-o", output, *method, *ONE]


def _synthesize(world: World, output: str) -> list[str]:
    words = [
        "datamodules",
        "synthesize",
        world.captions,
        "--model",
        f"{TINY}/sd-a1",
        "--name",
        "small",
        "-o",
        output,
    ]
    return [*words, "--steps", "2", "--per_shard", "2", "--batch_size", "1", *ONE]


def _reconstruct(world: World, output: str) -> list[str]:
    words = [
        "datamodules",
        "reconstruct",
        f"{world.shards}/train-photos-*.tar",
        "--autoencoder",
        f"{TINY}/sd-a1",
    ]
    return [*words, "--name", "twins", "-o", output, *ONE]


PEOPLE = {
    "class_path": "tiny.dataset.PortraitPeople",
    "init_args": {
        "first": 1_000_000,
        "identities": 2,
        "train_pictures": 2,
        "reference_pictures": 2,
    },
}

ATTACK = {
    "model": str(TINY / "sd-a1"),
    "initializer": "person",
    "steps": 2,
    "samples": 2,
    "sample_steps": 2,
    "prior_weight": 0.0,
}

STUDY = {
    "people": PEOPLE,
    "faces": str(TINY / "faces"),
    "arms": {
        "clean": {"class_path": "eval.arms.Clean"},
        "rid": {"class_path": "eval.arms.Generator", "init_args": {"weights": str(TINY / "rid")}},
    },
}


def _attack(kind: str) -> dict:
    return {"class_path": f"eval.attacks.personalization.{kind}", "init_args": {"config": ATTACK}}


_ROUNDING = {"class_path": "eval.attacks.purification.Rounding", "init_args": {"bits": 6}}


def _personalize(world: World, output: str) -> list[str]:
    config = world.config("study", STUDY | {"attack": _attack("LoraTextualInversion")})
    return ["eval", "personalize", "-c", config, "-o", output, *ONE]


def _matrix(world: World, output: str) -> list[str]:
    jpeg = {"class_path": "eval.attacks.purification.Jpeg", "init_args": {"quality": 75}}
    more = {
        "attacks": {"ti": _attack("TextualInversion")},
        "purifications": {"none": None, "jpeg75": jpeg},
    }
    return ["eval", "matrix", "-c", world.config("matrix", STUDY | more), "-o", output, *ONE]


def _redteam(world: World, output: str) -> list[str]:
    settings = {
        "faces": str(TINY / "faces"),
        "size": 64,
        "attacked": 2,
        "attacks": {"ti": _attack("TextualInversion")},
        "purifications": {"none": None, "rounding": _ROUNDING},
    }
    photos = ["eval", "redteam", world.photos, "--clean", world.photos]
    return [*photos, "-c", world.config("redteam", settings), "-o", output, *ONE]


def _trainer(output: str, steps: int) -> dict:
    keep = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"every_n_train_steps": 2, "save_last": True},
    }
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
    }
    return {
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": steps,
        "default_root_dir": output,
        "callbacks": [keep],
    } | quiet


def _fit_rid(world: World, output: str) -> list[str]:
    portraits = {
        "class_path": "tiny.dataset.PortraitDataset",
        "init_args": {"first": 0, "identities": 4, "pictures": 2},
    }
    size = {"image_size": 64, "patch_size": 16, "width": 16, "depth": 1, "heads": 2}
    settings = {
        "seed_everything": 7,
        "trainer": _trainer(output, 8),
        "model": {
            "generator": {"class_path": "rid.generator.PerturbationGenerator", "init_args": size},
            "surrogates": [str(TINY / "sd-a1")],
            "warmup_steps": 2,
        },
        "data": {
            "class_path": "datamodules.datamodule.ImageDataModule",
            "init_args": {"batch_size": 2, "train": portraits, "val": portraits},
        },
    }
    return ["rid", "fit", "-c", world.config("fit_rid", settings)]


def _fit_detector(world: World, output: str) -> list[str]:
    view = {"policy": "crop", "size": 32, "resize": 32}
    network = {
        "network": "patches",
        "options": {"width": 8, "depths": [1, 1, 1, 1]},
        "view": view,
        "train_view": view | {"random": True},
    }
    settings = {
        "seed_everything": 3,
        "trainer": _trainer(output, 16),
        "model": {
            "detector": {"class_path": "detectors.detector.Detector", "init_args": network},
            "lr": 0.002,
        },
        "data": {
            "real": [{"urls": f"{world.shards}/train-photos-*.tar"}],
            "generated": [{"urls": f"{world.shards}/train-copies-*.tar"}],
            "val": [f"{world.shards}/val-*.tar"],
            "batch_size": 8,
            "epoch_samples": 64,
            "num_workers": 0,
        },
    }
    return ["detectors", "fit", "-c", world.config("fit_detector", settings)]


FIT = {"claimed": "lightning_logs/*/fit.yaml", "found": trained, "again": from_last}

CASES = [
    Case("rid protect", _protect),
    Case("datamodules synthesize", _synthesize, "*.run/manifest.json"),
    Case("sentinels embed", _embed),
    Case("sentinels plant", _plant),
    Case("datamodules shard", _shard, "*.run/manifest.json"),
    Case("rid protect (tar)", _protect_archive),
    Case("rid protect (two)", _protect_in_two),
    Case("rid pairs", _pairs),
    Case("rid pairs (tar)", lambda world, output: _pairs(world, output, shards=True)),
    Case("rid fit", _fit_rid, **FIT),
    Case("indexing activate", _activate),
    Case("indexing extract", _extract),
    Case("detectors scan", _scan, "*.run/manifest.json"),
    Case("detectors features", _features),
    Case("detectors fit", _fit_detector, **FIT | {"found": trained_alike}),
    Case("detectors test", _test),
    Case("detectors robustness", _robustness),
    Case("datamodules reconstruct", _reconstruct, "*.run/manifest.json"),
    Case("eval purify", _purify),
    Case("eval retrieval", _retrieval),
    Case("eval personalize", _personalize),
    Case("eval matrix", _matrix, "cells/*/*/manifest.json"),
    Case("eval redteam", _redteam, "cells/*/*/manifest.json", all_but_the_page),
]

"""Commands of ``python -m tiny``: draw images, and train, measure and show the toy models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Room, Training, Verb, run

SHIPPED = Path("checkpoints/tiny")
"""Folder of the shipped models, relative to the repository."""


def portraits_options(parser: Parser) -> None:
    """Add the options of ``portraits``."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_call("tiny.export:export_portraits", skip={"output"})


def portraits(settings: Any, output: Output) -> int:
    """Draw portraits; return 0."""
    from tiny.export import export_portraits

    count = export_portraits(**settings.as_dict())
    output.result(
        f"{count} portraits in {settings.output}", portraits=count, output=settings.output
    )
    return 0


def pictures_options(parser: Parser) -> None:
    """Add the options of ``pictures``."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_call("tiny.collages:export_pictures", skip={"output"})


def pictures(settings: Any, output: Output) -> int:
    """Draw the images of a copy-detection study; return 0."""
    from tiny.collages import export_pictures

    counts = export_pictures(**settings.as_dict())
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    output.result(f"{text} in {settings.output}", counts=counts, output=settings.output)
    return 0


def demo_options(parser: Parser) -> None:
    """Add the options of ``demo``."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of a finished study of python -m eval personalize",
    )
    parser.add_call("tiny.demo:indexing_demo", skip={"output"})


def demo(settings: Any, output: Output) -> int:
    """Add active indexing to the page of a study; return 0."""
    from tiny.demo import indexing_demo

    indexing_demo(**settings.as_dict())
    page = settings.output / "report.html"
    output.result(f"report: {page}", report=page)
    return 0


def train_options(parser: Parser) -> None:
    """Add the options of ``train``."""
    parser.add_argument(
        "model", type=str, help="name of a model, or all; an unknown name lists them"
    )
    parser.add_argument(
        "--output", type=Path, default=SHIPPED, help="folder of the finished models"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing models")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/tiny"), help="folder of intermediate results"
    )
    parser.add_argument(
        "--data",
        type=Path | None,
        default=None,
        help="train on the images in this folder instead of drawn portraits",
    )
    parser.add_argument(
        "--size",
        type=Literal[64, 128],
        default=64,
        help="side of the images in pixels, with --data",
    )
    parser.add_argument(
        "--autoencoder",
        type=Path | None,
        default=None,
        help="folder of an autoencoder, or of TAEF2's files, for sd-* and photo-detector",
    )
    parser.add_argument(
        "--steps", type=int | None, default=None, help="fewer optimizer steps, for a trial"
    )
    parser.add_argument(
        "--threads", type=int | None, default=None, help="CPU threads; all by default"
    )


def train(settings: Any, output: Output) -> int:
    """Train one or all toy models; return 0."""
    import torch

    from checkpoints.folders import project_path
    from tiny.fitting import Place
    from tiny.train import FROM_FOLDERS, FROM_PHOTOS, RECIPES

    recipes = RECIPES | FROM_PHOTOS
    if settings.model != "all" and settings.model not in recipes:
        msg = f"no model '{settings.model}'; choose one of {', '.join(recipes)}, or all"
        raise ValueError(msg)
    if settings.data and settings.model not in (*FROM_FOLDERS, *FROM_PHOTOS):
        msg = (
            f"{settings.model} needs identities, which only drawn portraits have; "
            f"--data is for {', '.join((*FROM_FOLDERS, *FROM_PHOTOS))}"
        )
        raise ValueError(msg)
    if (settings.data or settings.autoencoder) and settings.output == SHIPPED:
        msg = f"give --output: {SHIPPED} holds the models of drawn portraits"
        raise ValueError(msg)
    settings.output = project_path(settings.output)
    names = list(RECIPES) if settings.model == "all" else [settings.model]
    folders = [settings.output / name for name in names]
    existing = [folder for folder in folders if folder.exists()]
    if existing and not settings.overwrite:
        msg = (
            f"{existing[0]} exists already: add --overwrite to replace it, or give another --output"
        )
        raise ValueError(msg)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    for name in names:
        place = Place(
            settings.output, settings.work, settings.data, settings.size, settings.autoencoder
        )
        recipes[name](place, name, settings.steps)
    output.result(models=names, output=settings.output)
    return 0


def measure_options(parser: Parser) -> None:
    """Add the options of ``measure``."""
    parser.add_argument(
        "models",
        type=str,
        nargs="*",
        help="names of models; all by default; an unknown name lists them",
    )
    parser.add_argument("--output", type=Path, default=SHIPPED, help="folder of the shipped models")
    parser.add_argument(
        "--overwrite", action="store_true", help="write the figures into the models' cards"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("outputs/tiny"),
        help="folder of the probe and the detector's shards",
    )


def measure(settings: Any, output: Output) -> int:
    """Measure the shipped models; return 0."""
    from checkpoints.folders import project_path
    from engine.records import to_json
    from tiny.cards import MEASURES
    from tiny.cards import measure as measure_models

    unknown = [name for name in settings.models if name not in MEASURES]
    if unknown:
        msg = f"no measure for '{unknown[0]}'; choose of {', '.join(MEASURES)}"
        raise ValueError(msg)
    figures = measure_models(
        settings.models or list(MEASURES),
        project_path(settings.output),
        settings.work,
        settings.overwrite,
    )
    output.result(to_json(figures).rstrip(), measured=figures)
    return 0


def fit_options(parser: Parser) -> None:
    """Add the options of LightningCLI."""
    parser.add_lightning(None, None)


def fit(arguments: list[str], quiet: bool) -> dict[str, float] | None:
    """Train with LightningCLI; return the logged metrics."""
    from tiny.training import main as run_training

    return run_training(arguments, quiet=quiet).logged()


VERBS: dict[str, Verb | Training] = {
    "fit": Training(
        "Train a copy-detection network or a reading embedder from a config.",
        "tiny fit -c configs/tiny/copies.yaml",
        fit_options,
        fit,
    ),
    "portraits": Verb(
        "Draw portraits into a folder, one sub-folder per person.",
        "tiny portraits -o OUT/ --people 10",
        portraits_options,
        portraits,
    ),
    "pictures": Verb(
        "Draw the images of a copy-detection study: training, references, originals, strangers.",
        "tiny pictures -o OUT/",
        pictures_options,
        pictures,
    ),
    "train": Verb(
        "Rebuild a shipped model from its seed, or all of them.",
        "tiny train all --output OUT/",
        train_options,
        train,
    ),
    "measure": Verb(
        "Measure shipped models; --overwrite writes the figures into their cards.",
        "tiny measure rid faces",
        measure_options,
        measure,
    ),
    "demo": Verb(
        "Search edited copies of drawn images with and without activation; adds to a study's page.",
        "tiny demo -o outputs/demo",
        demo_options,
        demo,
    ),
}

ROOM = Room(
    "tiny", "The toy world: drawn portraits and the recipes of the shipped toy models.", VERBS
)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

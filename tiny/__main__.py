"""``python -m tiny VERB``: draw people, rebuild the shipped models, grade them, show them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

from engine.cli import dispatch, parser, run

SHIPPED = Path("checkpoints/tiny")

ABOUT = """usage: python -m tiny VERB ...

  portraits   draw portraits into a folder, one sub-folder per person
  pictures    draw the pictures of a copy-detection study: originals, distractors, strangers
  train       rebuild a shipped model from its seed, or all of them
  fit         train a copy-detection network or a reading embedder from a config: python -m tiny fit -c configs/tiny/copies.yaml
  measure     measure the shipped models and write their cards
  demo        add to a study's page whether edited copies of released pictures are found again

python -m tiny VERB --help tells more."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    if arguments[:1] in (["fit"], ["validate"]):
        from tiny.training import main as trainer

        trainer(None if arguments == sys.argv[1:] else arguments)  # Lightning re-launches ranks from sys.argv
        return 0
    verbs = {"portraits": portraits, "pictures": pictures, "train": train, "measure": measure, "demo": demo}
    return dispatch(ABOUT, verbs, arguments)


def portraits(arguments: list[str]) -> int:
    """Draw portraits, with captions and attributes in ``portraits.json``."""
    from tiny.export import export_portraits

    made = parser("python -m tiny portraits", "Draw portraits into a folder, one sub-folder per person.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    made.add_function_arguments(export_portraits, skip={"output"})
    settings = made.parse_args(arguments)
    del settings.config
    count = export_portraits(**settings.as_dict())
    print(f"{count} portraits in {settings.output}")
    return 0


def pictures(arguments: list[str]) -> int:
    """Draw what copy detection is measured on."""
    from tiny.collages import export_pictures

    made = parser("python -m tiny pictures", "Draw the pictures of a copy-detection study: training, references, originals, strangers.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    made.add_function_arguments(export_pictures, skip={"output"})
    settings = made.parse_args(arguments)
    del settings.config
    counts = export_pictures(**settings.as_dict())
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + f" in {settings.output}")
    return 0


def demo(arguments: list[str]) -> int:
    """Active indexing for the demo's page."""
    from tiny.demo import indexing_demo

    made = parser("python -m tiny demo", "Release drawn pictures, look edited copies up, and add that to a study's page.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of a finished study of python -m eval personalize")
    made.add_function_arguments(indexing_demo, skip={"output"})
    settings = made.parse_args(arguments)
    del settings.config
    indexing_demo(**settings.as_dict())
    print(f"report: {settings.output / 'report.html'}")
    return 0


def train(arguments: list[str]) -> int:
    """Rebuild weights."""
    import torch

    from tiny.fitting import Place
    from tiny.train import FROM_FOLDERS, RECIPES

    made = parser("python -m tiny train", f"Rebuild a model from its seed. Models, in the order of need: {', '.join(RECIPES)}.")
    made.add_argument("model", type=str, help="a model's name, or all")
    made.add_argument("--output", type=Path, default=SHIPPED, help="folder of the finished models")
    made.add_argument("--work", type=Path, default=Path("outputs/tiny"), help="folder of parts on the way there")
    made.add_argument("--data", type=Path | None, default=None, help="learn from the pictures in this folder instead of drawn portraits")
    made.add_argument("--size", type=Literal[64, 128], default=64, help="side of the pictures, with --data")
    made.add_argument("--autoencoder", type=Path | None, default=None, help="folder of an autoencoder, or of TAEF2's files, for sd-*")
    made.add_argument("--steps", type=int | None, default=None, help="fewer optimiser steps, for a trial")
    made.add_argument("--threads", type=int | None, default=None, help="processor threads; all if not given")
    settings = made.parse_args(arguments)
    if settings.model != "all" and settings.model not in RECIPES:
        msg = f"no model '{settings.model}'; choose one of {', '.join(RECIPES)}, or all"
        raise ValueError(msg)
    if settings.data and settings.model not in FROM_FOLDERS:
        msg = f"{settings.model} learns who is in a picture, which only drawn portraits tell; --data is for {', '.join(FROM_FOLDERS)}"
        raise ValueError(msg)
    if (settings.data or settings.autoencoder) and settings.output == SHIPPED:
        msg = f"give --output: {SHIPPED} holds the models of drawn portraits"
        raise ValueError(msg)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    for name in RECIPES if settings.model == "all" else [settings.model]:
        place = Place(settings.output, settings.work, settings.data, settings.size, settings.autoencoder)
        RECIPES[name](place, name, settings.steps)
    return 0


def measure(arguments: list[str]) -> int:
    """Grade the shipped models."""
    from tiny.cards import MEASURES
    from tiny.cards import measure as grade

    made = parser("python -m tiny measure", f"Measure shipped models and write their cards: {', '.join(MEASURES)}.")
    made.add_argument("models", type=str, nargs="*", help="models' names; all if none is given")
    made.add_argument("--output", type=Path, default=SHIPPED, help="folder of the shipped models")
    made.add_argument("--work", type=Path, default=Path("outputs/tiny"), help="folder with the probe, and the detector's shards")
    settings = made.parse_args(arguments)
    if unknown := [name for name in settings.models if name not in MEASURES]:
        msg = f"no measure for '{unknown[0]}'; choose of {', '.join(MEASURES)}"
        raise ValueError(msg)
    print(json.dumps(grade(settings.models or list(MEASURES), settings.output, settings.work), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

"""``python -m checkpoints list | pull | push | verify | convert``: weights that travel."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import dispatch, one_line, parser, run

if TYPE_CHECKING:
    from checkpoints.golden import Answers
    from checkpoints.saved import SavedModel

ABOUT = """usage: python -m checkpoints VERB ...

  list      every model this project knows: where it is from, its licence, and whether it is here
  pull      get one: python -m checkpoints pull NAME, or hf://org/model
  verify    hashes, shapes, and one forward pass against answers kept beside the weights
  push      send a model of yours to the Hub with its card; --dry_run FOLDER only writes what would go
  convert   a released checkpoint into a folder from_pretrained opens, or such a folder back into the released format

python -m checkpoints VERB --help tells more."""

MODELS = {
    "PerturbationGenerator": "rid.generator",
    "Detector": "detectors.detector",
    "FaceNet": "models.faces.face_net",
    "CopyNet": "models.copy_net",
    "ImageTextNet": "models.image_text_net",
}
"""Where the classes are that a ``config.json`` may name."""

CONVERTERS = {"rid": "rid.__main__"} | dict.fromkeys(("sentry_convnext", "sentry_clip", "univfd"), "detectors.__main__")
"""Which system's command converts a kind of released file."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    return dispatch(ABOUT, {"list": show, "pull": pull, "verify": verify, "push": push, "convert": convert}, arguments)


def show(arguments: list[str]) -> int:
    """Print the registry."""
    from checkpoints.listing import details, overview

    made = parser("python -m checkpoints list", "Every model this project knows, or all that is known of one.")
    made.add_argument("name", type=str | None, nargs="?", help="a model's name; an overview of all if not given")
    settings = made.parse_args(arguments)
    print(details(settings.name) if settings.name else overview())
    return 0


def pull(arguments: list[str]) -> int:
    """Get models; 0 only if all are here and are what they should be."""
    from checkpoints.pull import cautions
    from checkpoints.pull import pull as get
    from checkpoints.registry import registry

    made = parser("python -m checkpoints pull", "Get models, or check those that are here. Nothing in them is run.")
    made.add_argument(
        "names", type=str, nargs="+", help="names of python -m checkpoints list, or hf://org/model, or hf://org/model@revision"
    )
    made.add_argument("--update", action="store_true", help="take the newest revision of the Hub instead of the one first seen here")
    settings = made.parse_args(arguments)

    def one(name: str) -> None:
        got = get(name, settings["update"])
        print(f"{name}: {got.folder}" + (f", revision {got.revision}" if got.revision else ""))
        for file, digest in got.sha256.items():
            print(f"  {file}: sha256 {digest}" + (", unverified: pinned as first seen" if file in got.unverified else ""))
        for caution in cautions(got):
            print(f"  caution: {caution}")
        if name in registry() and (steps := registry()[name].steps):
            print(f"  next: {steps.replace('FILE', str(got.folder / next(iter(got.sha256), '')))}")

    return each(settings.names, one)


def verify(arguments: list[str]) -> int:
    """Check models that are here; 0 only if all are sound."""
    from checkpoints.golden import save_answers
    from checkpoints.verify import exercise
    from checkpoints.verify import verify as check

    made = parser("python -m checkpoints verify", "Hashes, shapes, and one forward pass against answers kept beside the weights.")
    made.add_argument(
        "names", type=str, nargs="+", help="folders, checkpoints (.ckpt), names of python -m checkpoints list, or hf://org/model"
    )
    made.add_argument("--record", action="store_true", help="keep the answers of these folders as those to compare with from now on")
    settings = made.parse_args(arguments)

    def record(name: str) -> None:
        if not Path(name).is_dir():
            msg = f"{name}: answers are recorded for folders of yours only; give one"
            raise ValueError(msg)
        opened, said = exercise(Path(name), class_of, ask_pipeline)
        if not said:
            msg = f"{name}: not a model of this project or a diffusion pipeline; its answers cannot be recorded"
            raise ValueError(msg)
        save_answers(Path(name), said)
        print(f"{name}: answers of the {opened} recorded")

    def one(name: str) -> None:
        found = check(name, class_of, ask_pipeline)
        files = f"{found.files} weight files" + (f", {len(found.unverified)} of them unverified" if found.unverified else "")
        opened = f"opened as a {found.opened}" if found.opened else "not opened as a whole"
        said = "no answers to compare with" if found.difference is None else f"answers as recorded, within {found.difference:.1e}"
        print(f"{name}: {files}; {opened}; {said}")

    return each(settings.names, record if settings.record else one)


def push(arguments: list[str]) -> int:
    """Send a model to the Hub, or write what would go."""
    from tempfile import TemporaryDirectory

    from checkpoints.folders import read_config
    from checkpoints.push import licence_of, stage
    from checkpoints.push import push as send

    made = parser("python -m checkpoints push", "Send a model folder to the Hub: weights, settings, calibration, records and a card.")
    made.add_argument("folder", type=Path, help="the model's folder, as fit or convert left it")
    made.add_argument("repository", type=str, help="org/model; made if it is not there")
    made.add_argument("--public", action="store_true", help="make it for everyone; otherwise it is for you alone until you change that")
    made.add_argument("--licence", type=str | None, default=None, help="of the weights, as the Hub abbreviates it; apache-2.0 for your own")
    made.add_argument("--message", type=str | None, default=None, help="the commit's message")
    made.add_argument("--dry_run", type=Path | None, default=None, help="write what would go into this folder, and send nothing")
    settings = made.parse_args(arguments)
    for need in ("config.json", "model.safetensors"):
        if not (settings.folder / need).is_file():
            msg = f"{settings.folder / need} is missing: give a model folder, as fit leaves it beside its logs"
            raise FileNotFoundError(msg)
    kind = class_of(read_config(settings.folder))
    if kind is None:
        msg = f"{settings.folder}: not a model of this project, which are {', '.join(MODELS)}"
        raise ValueError(msg)
    licence = licence_of(settings.folder, settings.licence)
    with TemporaryDirectory() as beside:
        target = settings.dry_run or Path(beside) / "staged"
        left = stage(kind.from_pretrained(settings.folder), target, settings.repository, settings.folder, licence)
        for file in left:
            print(f"stays here: {file}")
        if settings.dry_run:
            print(f"{target}: what would go to {settings.repository}; nothing was sent")
        else:
            print(f"sent: {send(target, settings.repository, not settings.public, settings.message)}")
    return 0


def convert(arguments: list[str]) -> int:
    """Hand the command on to the system whose format it is."""
    made = ArgumentParser(prog="python -m checkpoints convert", add_help=False)
    made.add_argument("--kind", choices=CONVERTERS)
    kind, _ = made.parse_known_args(arguments)
    if kind.kind is None:
        asked = {"-h", "--help"} & set(arguments)
        print(f"usage: {made.prog} SOURCE TARGET --kind {{{','.join(CONVERTERS)}}} ...", file=sys.stdout if asked else sys.stderr)
        print("python -m rid convert --help and python -m detectors convert --help tell more.", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return int(importlib.import_module(CONVERTERS[kind.kind]).main(["convert", *arguments]))


def each(names: list[str], act: Callable[[str], None]) -> int:
    """Do something for every name, the others even if one fails; 0 only if none did, otherwise 2."""
    failed = 0
    for name in names:
        try:
            act(name)
        except (ValueError, OSError) as error:
            if sys.flags.dev_mode:
                raise
            print(f"error: {one_line(error)}", file=sys.stderr)
            failed = 2
    return failed


def class_of(config: dict[str, Any]) -> type[SavedModel] | None:
    """The model class of a folder's settings, which name it, or have what only it has; None if it is none of this project's."""
    signs = {"budget": "PerturbationGenerator", "embedding": "FaceNet", "train_view": "Detector"}  # the first folders name none
    name = str(config.get("model") or next((signs[sign] for sign in signs if sign in config), ""))
    return getattr(importlib.import_module(MODELS[name]), name) if name in MODELS else None


def ask_pipeline(folder: Path) -> Answers:
    """A diffusion pipeline's answers to compare with."""
    return dict(importlib.import_module("models.pipelines").pipeline_answers(folder))


if __name__ == "__main__":
    sys.exit(run(main))

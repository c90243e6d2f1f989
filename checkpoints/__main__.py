"""``python -m checkpoints list | pull | push | verify | convert``: weights that travel."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import Output, Parser, Room, UsageError, Verb, one_line, run

if TYPE_CHECKING:
    from checkpoints.golden import Answers
    from checkpoints.saved import SavedModel

MODELS = {
    "PerturbationGenerator": "rid.generator",
    "Detector": "detectors.detector",
    "FaceNet": "models.faces.face_net",
    "CopyNet": "models.copy_net",
    "ImageTextNet": "models.image_text_net",
}
"""Where the classes are that a ``config.json`` may name."""

CONVERTERS = {"rid": "rid.__main__"} | dict.fromkeys(
    ("sentry_convnext", "sentry_clip", "univfd"), "detectors.__main__"
)
"""Which system's command converts a kind of released file."""


def show_options(parser: Parser) -> None:
    """What ``list`` asks for."""
    parser.add_argument(
        "name", type=str | None, nargs="?", help="a model's name; an overview of all if not given"
    )


def show(settings: Any, output: Output) -> int:
    """Print the registry."""
    from checkpoints.listing import details, overview
    from checkpoints.registry import registry

    models = [settings.name] if settings.name else list(registry())
    output.result(details(settings.name) if settings.name else overview(), models=models)
    return 0


def pull_options(parser: Parser) -> None:
    """What ``pull`` asks for."""
    about = "names of python -m checkpoints list, or hf://org/model, or hf://org/model@revision"
    parser.add_argument("names", type=str, nargs="+", help=about)
    parser.add_argument(
        "--update",
        action="store_true",
        help="take the newest revision of the Hub instead of the one first seen here",
    )


def pull(settings: Any, output: Output) -> int:
    """Get models; 0 only if all are here and are what they should be."""
    from checkpoints.pull import cautions
    from checkpoints.pull import pull as get
    from checkpoints.registry import registry

    def one(name: str) -> None:
        got = get(name, settings["update"])
        lines = [f"{name}: {got.folder}" + (f", revision {got.revision}" if got.revision else "")]
        for file, digest in got.sha256.items():
            lines.append(
                f"  {file}: sha256 {digest}"
                + (", unverified: pinned as first seen" if file in got.unverified else "")
            )
        lines += [f"  caution: {caution}" for caution in cautions(got)]
        if name in registry() and (steps := registry()[name].steps):
            lines.append(
                f"  next: {steps.replace('FILE', str(got.folder / next(iter(got.sha256), '')))}"
            )
        output.row(
            "models",
            "\n".join(lines),
            name=name,
            folder=got.folder,
            revision=got.revision,
            sha256=dict(got.sha256),
        )

    return each(settings.names, one, output)


def verify_options(parser: Parser) -> None:
    """What ``verify`` asks for."""
    parser.add_argument(
        "names",
        type=str,
        nargs="+",
        help="folders, checkpoints (.ckpt), names of python -m checkpoints list, or hf://org/model",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="keep the answers of these folders as those to compare with from now on",
    )


def verify(settings: Any, output: Output) -> int:
    """Check models that are here; 0 only if all are sound."""
    from checkpoints.golden import save_answers
    from checkpoints.verify import exercise
    from checkpoints.verify import verify as check

    def record(name: str) -> None:
        if not Path(name).is_dir():
            msg = f"{name}: answers are recorded for folders of yours only; give one"
            raise ValueError(msg)
        opened, said = exercise(Path(name), class_of, ask_pipeline)
        if not said:
            msg = f"{name}: not a model of this project or a diffusion pipeline; its answers cannot be recorded"
            raise ValueError(msg)
        save_answers(Path(name), said)
        output.row("models", f"{name}: answers of the {opened} recorded", name=name, opened=opened)

    def one(name: str) -> None:
        found = check(name, class_of, ask_pipeline)
        files = f"{found.files} weight files" + (
            f", {len(found.unverified)} of them unverified" if found.unverified else ""
        )
        opened = f"opened as a {found.opened}" if found.opened else "not opened as a whole"
        said = (
            "no answers to compare with"
            if found.difference is None
            else f"answers as recorded, within {found.difference:.1e}"
        )
        values = {
            "files": found.files,
            "unverified": list(found.unverified),
            "opened": found.opened,
            "difference": found.difference,
        }
        output.row("models", f"{name}: {files}; {opened}; {said}", name=name, **values)

    return each(settings.names, record if settings.record else one, output)


def push_options(parser: Parser) -> None:
    """What ``push`` asks for."""
    parser.add_argument("folder", type=Path, help="the model's folder, as fit or convert left it")
    parser.add_argument("repository", type=str, help="org/model; made if it is not there")
    parser.add_argument(
        "--public",
        action="store_true",
        help="make it for everyone; otherwise it is for you alone until you change that",
    )
    about = "of the weights, as the Hub abbreviates it; apache-2.0 for your own"
    parser.add_argument("--licence", type=str | None, default=None, help=about)
    parser.add_argument("--message", type=str | None, default=None, help="the commit's message")
    parser.add_argument(
        "--dry-run",
        type=Path | None,
        default=None,
        help="write what would go into this folder, and send nothing",
    )


def push(settings: Any, output: Output) -> int:
    """Send a model to the Hub, or write what would go."""
    from tempfile import TemporaryDirectory

    from checkpoints.folders import read_config
    from checkpoints.push import licence_of, stage
    from checkpoints.push import push as send

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
        left = stage(
            kind.from_pretrained(settings.folder),
            target,
            settings.repository,
            settings.folder,
            licence,
        )
        for file in left:
            output.note(f"stays here: {file}")
        if settings.dry_run:
            output.result(
                f"{target}: what would go to {settings.repository}; nothing was sent",
                folder=target,
                left=left,
            )
        else:
            address = send(target, settings.repository, not settings.public, settings.message)
            output.result(f"sent: {address}", address=address, left=left)
    return 0


@dataclass(frozen=True)
class Convert(Verb):
    """Hands the command on to the system whose format it is."""

    def run(self, command: str, arguments: list[str]) -> int:
        asked = ArgumentParser(add_help=False)
        asked.add_argument("--kind")
        kind = asked.parse_known_args(arguments)[0].kind
        if kind not in CONVERTERS:
            msg = f"give --kind, one of {', '.join(CONVERTERS)}" + (
                f"; got '{kind}'" if kind else ""
            )
            raise UsageError(msg)
        return int(importlib.import_module(CONVERTERS[kind]).main(["convert", *arguments]))


def convert_options(parser: Parser) -> None:
    """What every converter asks for."""
    parser.add_argument("source", type=Path, help="the released file, or a model folder")
    parser.add_argument("target", type=Path, help="what to write; must not exist")
    about = "what it is a checkpoint of; python -m rid convert --help and python -m detectors convert --help tell what else each takes"
    parser.add_argument("--kind", choices=list(CONVERTERS), required=True, help=about)


def each(names: list[str], act: Callable[[str], None], output: Output) -> int:
    """Do something for every name, the others even if one fails; 0 only if none did, otherwise 2."""
    failed = 0
    for name in names:
        try:
            act(name)
        except (ValueError, OSError) as error:
            if sys.flags.dev_mode:
                raise
            output.error(one_line(error))
            failed = 2
    return failed


def class_of(config: dict[str, Any]) -> type[SavedModel] | None:
    """The model class of a folder's settings, which name it, or have what only it has; None if it is none of this project's."""
    signs = {
        "budget": "PerturbationGenerator",
        "embedding": "FaceNet",
        "train_view": "Detector",
    }  # the first folders name none
    name = str(config.get("model") or next((signs[sign] for sign in signs if sign in config), ""))
    return getattr(importlib.import_module(MODELS[name]), name) if name in MODELS else None


def ask_pipeline(folder: Path) -> Answers:
    """A diffusion pipeline's answers to compare with."""
    return dict(importlib.import_module("models.pipelines").pipeline_answers(folder))


VERBS = {
    "list": Verb(
        "List every model this project knows: where it is from, its licence, and whether it is here.",
        "checkpoints list rid",
        show_options,
        show,
    ),
    "pull": Verb(
        "Get models, or check those that are here. Nothing in them is run.",
        "checkpoints pull sd-vae",
        pull_options,
        pull,
    ),
    "verify": Verb(
        "Check hashes, shapes, and one forward pass against answers kept beside the weights.",
        "checkpoints verify checkpoints/tiny/rid",
        verify_options,
        verify,
    ),
    "push": Verb(
        "Send a model folder to the Hub: weights, settings, calibration, records and a card.",
        "checkpoints push RID/ org/model --dry-run OUT/",
        push_options,
        push,
    ),
    "convert": Convert(
        "Turn a released checkpoint into a model folder, or such a folder back into the released format.",
        "checkpoints convert ASDS-eps-12_255.bin RID/ --kind rid --budget 6",
        convert_options,
        lambda settings, output: 0,
    ),
}

ROOM = Room("checkpoints", "Weights that travel: found, fetched, checked, sent, converted.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

"""Entry point of ``python -m checkpoints list | pull | push | verify | convert``."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.classes import MODELS, class_of, run_pipeline
from engine.cli import Output, Parser, Room, UsageError, Verb, one_line, run

CONVERTERS = {
    "rid": "rid.__main__",
    "sentry_convnext": "detectors.__main__",
    "sentry_clip": "detectors.__main__",
    "univfd": "detectors.__main__",
    "dda": "detectors.__main__",
    "rine": "detectors.__main__",
    "bfree": "detectors.__main__",
    "spai": "detectors.__main__",
}
"""Module whose ``convert`` handles a kind of released file."""


def show_options(parser: Parser) -> None:
    """Add the options of ``list``."""
    about = "a model's name; an overview of all if not given"
    parser.add_argument("name", type=str | None, nargs="?", help=about)


def show(settings: Any, output: Output) -> int:
    """Print the registry."""
    from checkpoints.listing import details, overview
    from checkpoints.registry import registry

    models = [settings.name] if settings.name else list(registry())
    output.result(details(settings.name) if settings.name else overview(), models=models)
    return 0


def pull_options(parser: Parser) -> None:
    """Add the options of ``pull``."""
    about = "names of python -m checkpoints list, or hf://org/model, or hf://org/model@revision"
    parser.add_argument("names", type=str, nargs="+", help=about)
    parser.add_argument(
        "--update",
        action="store_true",
        help="take the newest revision of the Hub instead of the one first seen here",
    )


def pull(settings: Any, output: Output) -> int:
    """Download models; return 0 only if all are on this machine and verified."""
    from checkpoints.pull import cautions
    from checkpoints.pull import pull as pull_model
    from checkpoints.registry import registry

    def pull_one(name: str) -> None:
        model = pull_model(name, settings["update"])
        revision = f", revision {model.revision}" if model.revision else ""
        lines = [f"{name}: {model.folder}{revision}"]
        for file, digest in model.sha256.items():
            note = ", unverified: pinned as first seen" if file in model.unverified else ""
            lines.append(f"  {file}: sha256 {digest}{note}")
        lines += [f"  caution: {caution}" for caution in cautions(model)]
        steps = registry()[name].steps if name in registry() else None
        if steps:
            first_file = model.folder / next(iter(model.sha256), "")
            lines.append(f"  next: {steps.replace('FILE', str(first_file))}")
        output.row(
            "models",
            "\n".join(lines),
            name=name,
            folder=model.folder,
            revision=model.revision,
            sha256=dict(model.sha256),
        )

    return for_each(settings.names, pull_one, output)


def verify_options(parser: Parser) -> None:
    """Add the options of ``verify``."""
    parser.add_argument(
        "names",
        type=str,
        nargs="+",
        help="folders, checkpoints (.ckpt), names of python -m checkpoints list, or hf://org/model",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="record the present outputs of these folders as their golden outputs",
    )


def verify(settings: Any, output: Output) -> int:
    """Verify local models; return 0 only if all pass."""
    from checkpoints.golden import save_outputs
    from checkpoints.verify import load_and_run
    from checkpoints.verify import verify as verify_model

    def record_one(name: str) -> None:
        if not Path(name).is_dir():
            msg = f"{name}: golden outputs are recorded for local folders only; give one"
            raise ValueError(msg)
        kind, outputs = load_and_run(Path(name), class_of, run_pipeline)
        if not outputs:
            msg = (
                f"{name}: not a model of this project or a diffusion pipeline; "
                "its outputs cannot be recorded"
            )
            raise ValueError(msg)
        save_outputs(Path(name), outputs)
        output.row("models", f"{name}: outputs of the {kind} recorded", name=name, opened=kind)

    def verify_one(name: str) -> None:
        result = verify_model(name, class_of, run_pipeline)
        files = f"{result.files} weight files"
        if result.unverified:
            files += f", {len(result.unverified)} of them unverified"
        opened = f"opened as a {result.opened}" if result.opened else "not opened as a whole"
        compared = "no golden outputs to compare with"
        if result.difference is not None:
            compared = f"outputs as recorded, within {result.difference:.1e}"
        values = {
            "files": result.files,
            "unverified": list(result.unverified),
            "opened": result.opened,
            "difference": result.difference,
        }
        output.row("models", f"{name}: {files}; {opened}; {compared}", name=name, **values)

    return for_each(settings.names, record_one if settings.record else verify_one, output)


def push_options(parser: Parser) -> None:
    """Add the options of ``push``."""
    parser.add_argument("folder", type=Path, help="the model's folder, as fit or convert left it")
    parser.add_argument("repository", type=str, help="org/model; created if it does not exist")
    parser.add_argument(
        "--public",
        action="store_true",
        help="create a public repository; the default is private",
    )
    about = "license of the weights, as the Hub abbreviates it; apache-2.0 for your own"
    parser.add_argument("--license", type=str | None, default=None, help=about)
    parser.add_argument("--message", type=str | None, default=None, help="message of the commit")
    parser.add_argument(
        "--dry-run",
        type=Path | None,
        default=None,
        help="write the files into this folder instead of uploading them",
    )


def push(settings: Any, output: Output) -> int:
    """Upload a model to the Hub, or write the files that would be uploaded."""
    from tempfile import TemporaryDirectory

    from checkpoints.folders import read_config
    from checkpoints.push import check_place, choose_license, stage
    from checkpoints.push import push as upload

    # check the folder
    for required in ("config.json", "model.safetensors"):
        if not (settings.folder / required).is_file():
            msg = (
                f"{settings.folder / required} is missing: "
                "give a model folder, as fit leaves it beside its logs"
            )
            raise FileNotFoundError(msg)
    kind = class_of(read_config(settings.folder))
    if kind is None:
        msg = f"{settings.folder}: not a model of this project, which are {', '.join(MODELS)}"
        raise ValueError(msg)
    license_id = choose_license(settings.folder, settings.license)
    check_place(settings.folder, settings.repository, settings.dry_run)

    # stage, then upload
    with TemporaryDirectory() as folder:
        target = settings.dry_run or Path(folder) / "staged"
        model = kind.from_pretrained(settings.folder)
        left_behind = stage(model, target, settings.repository, settings.folder, license_id)
        for file in left_behind:
            output.note(f"stays here: {file}")
        if settings.dry_run:
            text = f"{target}: the files for {settings.repository}; nothing was uploaded"
            output.result(text, folder=target, left=left_behind)
        else:
            address = upload(target, settings.repository, not settings.public, settings.message)
            output.result(f"sent: {address}", address=address, left=left_behind)
    return 0


@dataclass(frozen=True)
class Convert(Verb):
    """Verb that passes its arguments to the package with the format."""

    def run(self, command: str, arguments: list[str]) -> int:
        """Run the converter of ``--kind``, and return its exit code."""
        parser = ArgumentParser(add_help=False)
        parser.add_argument("--kind")
        kind = parser.parse_known_args(arguments)[0].kind
        if kind not in CONVERTERS:
            got = f"; got '{kind}'" if kind else ""
            msg = f"give --kind, one of {', '.join(CONVERTERS)}{got}"
            raise UsageError(msg)
        return int(importlib.import_module(CONVERTERS[kind]).main(["convert", *arguments]))


def convert_options(parser: Parser) -> None:
    """Add the options of every converter."""
    parser.add_argument("source", type=Path, help="the released file, or a model folder")
    parser.add_argument("target", type=Path, help="the file or folder to write; it must not exist")
    about = (
        "the kind of checkpoint; python -m rid convert --help and "
        "python -m detectors convert --help show the other options of each"
    )
    parser.add_argument("--kind", choices=list(CONVERTERS), required=True, help=about)


def for_each(names: list[str], act: Callable[[str], None], output: Output) -> int:
    """Run an action for every name, and continue after errors.

    Args:
        names: The names.
        act: The action.
        output: Output of the errors.

    Returns:
        0 if every action succeeded, else 2.
    """
    code = 0
    for name in names:
        try:
            act(name)
        except (ValueError, OSError) as error:
            if sys.flags.dev_mode:
                raise
            output.error(one_line(error))
            code = 2
    return code


VERBS = {
    "list": Verb(
        "List every known model: its source, its license, and whether it is on this machine.",
        "checkpoints list rid",
        show_options,
        show,
    ),
    "pull": Verb(
        "Download models, or check local ones. No code in them is run.",
        "checkpoints pull sd-vae",
        pull_options,
        pull,
    ),
    "verify": Verb(
        "Check hashes, shapes, and one forward pass against golden outputs.",
        "checkpoints verify checkpoints/tiny/rid",
        verify_options,
        verify,
    ),
    "push": Verb(
        "Upload a model folder to the Hub: weights, settings, calibration, records and a card.",
        "checkpoints push RID/ org/model --dry-run OUT/",
        push_options,
        push,
        renamed={"licence": "license"},
    ),
    "convert": Convert(
        "Convert a released checkpoint to a model folder, or back.",
        "checkpoints convert ASDS-eps-12_255.bin RID/ --kind rid --budget 6",
        convert_options,
        lambda settings, output: 0,
    ),
}

ROOM = Room("checkpoints", "Weights: list, download, verify, upload and convert.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

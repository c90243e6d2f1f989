"""Command ``python -m eval remover``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb


def options(parser: Parser) -> None:
    """Add the options of ``remover``."""
    from engine.devices import ACCELERATORS

    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of the trained network"
    )
    parser.add_call("eval.studies.remover:train_remover", skip={"output", "accelerator"})
    parser.add_argument(
        "--accelerator", type=Literal[ACCELERATORS], default="auto", help="kind of device"
    )


def act(settings: Any, output: Output) -> int:
    """Train the remover."""
    from engine.manifest import read_manifest
    from eval.studies.remover import summary, train_remover

    levels = train_remover(**settings.as_dict())
    manifest = read_manifest(settings.output)
    assert manifest is not None, "training has written it"
    held_out = manifest["counts"]["held out"]
    output.result(summary(levels, held_out), levels=levels, held_out=held_out)
    output.note(
        "use it: class_path: eval.attacks.purification.LearnedRemover, "
        f"init_args: {{model: {settings.output}}}"
    )
    return 0


VERB = Verb(
    "Train a network that undoes a protection, on pairs made with the protection itself.",
    "eval remover -c configs/eval/tiny_remover.yaml -o REMOVER/",
    options,
    act,
)

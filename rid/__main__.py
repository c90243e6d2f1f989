"""``python -m rid VERB``: training, protection, training pairs, conversion, export."""

from __future__ import annotations

import sys

from engine.cli import Parser, Room, Training, Verb, run
from rid import convert, export
from rid.pairs import command as pairs
from rid.protect import command as protect


def fit_options(parser: Parser) -> None:
    """Add the options of LightningCLI for ``fit``."""
    parser.add_lightning("rid.training.task:RIDTask", None)


def validate_options(parser: Parser) -> None:
    """Add the options of LightningCLI for ``validate``."""
    parser.add_lightning("rid.training.task:RIDTask", None, validate=True)


def train(arguments: list[str], quiet: bool) -> dict[str, float] | None:
    """Run LightningCLI and return the last logged metrics."""
    from rid.training.cli import main as trainer

    return trainer(arguments, quiet=quiet).logged()


VERBS: dict[str, Verb | Training] = {
    "fit": Training(
        "Train a generator.",
        "rid fit -c configs/rid/tiny_adv_sds.yaml",
        fit_options,
        train,
    ),
    "validate": Training(
        "Evaluate a generator on the validation images of a config.",
        "rid validate -c configs/rid/tiny_adv_sds.yaml --ckpt_path last",
        validate_options,
        train,
    ),
    "protect": protect.VERB,
    "pairs": pairs.VERB,
    "convert": convert.VERB,
    "export": export.VERB,
}

ROOM = Room(
    "rid",
    "RID: one forward pass adds a perturbation that breaks personalization of diffusion models.",
    VERBS,
)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

"""Verb ``python -m detectors convert``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser
from engine.files import refuse_existing

ABOUT = "Convert a released detector, or a model that detects without training, to a folder."


def options(parser: Parser) -> None:
    """Add the verb's options."""
    about = (
        "the released file; aeroblade: an autoencoder or a pipeline, folder or Hub id; rigid: "
        "timm's name of a backbone"
    )
    parser.add_argument("source", type=Path, help=about)
    parser.add_argument("target", type=Path, help="the model folder to write; must not exist")
    parser.add_argument(
        "--kind",
        type=Literal[
            "sentry_convnext",
            "sentry_clip",
            "univfd",
            "dda",
            "rine",
            "bfree",
            "spai",
            "aeroblade",
            "rigid",
        ],
        required=True,
        help="format of the released file; aeroblade and rigid need no training",
    )
    parser.add_argument(
        "--network",
        type=str | None,
        default=None,
        help="timm's name of the frozen backbone, if not CLIP ViT-L/14",
    )
    about = (
        "univfd and rine: the backbone's weight file in timm's format; fetched by timm if not given"
    )
    parser.add_argument("--backbone", type=Path | None, default=None, help=about)


def act(settings: Any, output: Output) -> int:
    """Run the verb."""
    from detectors.released import import_released
    from detectors.training_free import training_free

    refuse_existing(settings.target)
    if settings.kind in ("aeroblade", "rigid"):
        training_free(str(settings.source), settings.target, settings.kind)
        network = str(settings.source)
    else:
        detector = import_released(
            settings.source, settings.target, settings.kind, settings.network, settings.backbone
        )
        network = detector.options["name"]
    output.result(
        f"{settings.target}: a detector, {network}; label 1 is generated. "
        "Not calibrated: python -m detectors calibrate",
        target=settings.target,
        network=network,
    )
    return 0

"""``python -m detectors convert``: released detector files into model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from detectors.released import import_released
from engine.cli import parser


def main(arguments: list[str]) -> int:
    """Make a detector's folder of a released file."""
    made = parser("python -m detectors convert", "A released detector file into a model folder.")
    made.add_argument("source", type=Path, help="the released file")
    made.add_argument("target", type=Path, help="the model folder to write; must not exist")
    made.add_argument("--kind", type=Literal["sentry_convnext", "sentry_clip", "univfd"], required=True, help="what it is a checkpoint of")
    made.add_argument("--network", type=str | None, default=None, help="timm's name of the frozen backbone, if not CLIP ViT-L/14")
    made.add_argument(
        "--backbone",
        type=Path | None,
        default=None,
        help="univfd: file of the backbone's weights as timm has them; fetched by timm if not given",
    )
    settings = made.parse_args(arguments)
    if settings.target.exists():
        msg = f"{settings.target} exists already: choose another name or delete it"
        raise ValueError(msg)
    detector = import_released(settings.source, settings.target, settings.kind, settings.network, settings.backbone)
    print(f"{settings.target}: a detector, {detector.options['name']}; 1 is generated. Not calibrated: python -m detectors calibrate")
    return 0

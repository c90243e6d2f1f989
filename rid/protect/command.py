"""Options and messages of ``python -m rid protect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import (
    Output,
    Parser,
    Verb,
    add_images,
    add_job_arguments,
    dataclass_from,
    job_options,
)
from rid.protect.config import RENAMED, ProtectConfig

TINY = Path("checkpoints") / "tiny"
"""Folder of the toy weights, relative to the repository."""


def options(parser: Parser) -> None:
    """Add the options of ``protect``."""
    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; repeat the command to resume",
    )
    parser.add_class_arguments(ProtectConfig, as_group=False)
    add_job_arguments(
        parser,
        batch_size=8,
        per_batch="photos per batch, and windows per forward pass",
    )


def act(settings: Any, output: Output) -> int:
    """Protect photos; return 0 only if every one is protected."""
    from checkpoints.folders import ROOT, model_path
    from rid.protect.face_search import DETECTOR, choose_mode
    from rid.protect.job import JPEG_QUALITY, protect

    config = dataclass_from(settings, ProtectConfig)
    if config.format == "jpeg":
        output.warning(
            f"JPEG is lossy. Even at quality {JPEG_QUALITY} it weakens the protection, and values "
            "may change by more than the budget; protected.csv lists each photo's largest change"
        )
    report = protect(settings.photos, settings.output, config, job_options(settings))
    if report is None:
        return 0
    code = output.report(report, f"protected in {settings.output}")
    if report.rows:
        max_levels = max(row["levels"] for _, row in report.rows)
        output.result(
            f"no value changed by more than {max_levels} of 255 levels",
            max_levels=max_levels,
        )
    mode, _ = choose_mode(config.resize_mode, config.face_detector)
    if config.resize_mode == "auto" and mode == "resize":
        output.note(
            "note: no face detector is on this machine, so large photos were protected as a whole. "
            "Attackers who crop to a face learn more from them: python -m checkpoints pull "
            f"{DETECTOR}, then protect the originals again"
        )
    if model_path(config.weights).resolve().is_relative_to(ROOT / TINY):
        output.note(
            "note: these are the toy weights that ship with the code. They protect only against "
            "the toy models beside them, not against Stable Diffusion or any other model in use; "
            "give released weights with --weights for that."
        )
    return code


VERB = Verb(
    "Protect photos against personalization: lossless copies, protected.csv, manifest.json.",
    "rid protect PHOTOS/ -o OUT/",
    options,
    act,
    renamed=RENAMED,
)

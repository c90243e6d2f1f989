"""``python -m rid protect``: what a person types, and what they are told."""

from __future__ import annotations

import sys
from pathlib import Path

from checkpoints.folders import ROOT, model_place
from engine.cli import parser
from rid.protect.job import ProtectConfig, protect
from rid.protect.writer import JPEG_QUALITY

TINY = ROOT / "checkpoints" / "tiny"

ABOUT = """Protect photos against personalization. Results are PNG files under the photos' own names, with protected.csv (what
changed in each) and manifest.json (what was run) beside them."""


def main(arguments: list[str]) -> int:
    """The ``protect`` verb; 0 only if every picture was protected."""
    made = parser("python -m rid protect", ABOUT)
    made.add_argument("photos", type=Path, nargs="+", help="folders, pictures, WebDataset shards (.tar), or text files that list pictures")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    made.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    made.add_class_arguments(ProtectConfig, as_group=False)
    settings = made.parse_args(arguments)
    values = {name: getattr(settings, name) for name in ProtectConfig.__dataclass_fields__}
    config = ProtectConfig(**values)
    if config.format == "jpeg":
        print(
            f"warning: JPEG is lossy. Even at quality {JPEG_QUALITY} it weakens the protection, and values may change by more than "
            "the budget; protected.csv says by how much",
            file=sys.stderr,
        )
    report = protect(settings.photos, settings.output, config, settings.resume)
    for name, why in report.skipped.items():
        print(f"skipped {name}: {why}", file=sys.stderr)
    for row in report.failed:
        print(f"error: {row.error}", file=sys.stderr)
    if report.done:
        levels = max(row.levels or 0 for row in report.done)
        print(
            f"{len(report.done)} protected in {settings.output} (budget {report.budget:g} grey levels); "
            f"no value changed by more than {levels} of 255 levels"
        )
    if model_place(config.weights).resolve().is_relative_to(TINY):
        print(
            "note: these are the small weights that come with the code. They defend only against the small models beside them, "
            "not against Stable Diffusion or any other model in use; name released weights with --weights for that."
        )
    return 1 if report.failed else 0

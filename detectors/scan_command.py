"""Verb ``python -m detectors scan``: options and output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.crop_rule import CropRule
from detectors.verdict_options import add_crops, add_max_fpr, add_prevalence
from engine.cli import Output, Parser, Verb, add_images, add_job_arguments, job_options

if TYPE_CHECKING:
    from detectors.scan import Finding


def options(parser: Parser) -> None:
    """Add the verb's options."""
    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the CSV file to write; the same command continues a stopped run",
    )
    parser.add_argument(
        "--weights",
        type=str,
        nargs="+",
        required=True,
        help="detector: folder, Hub id or .ckpt file; folder of an ensemble; or several detectors",
    )
    parser.add_argument("--html", action="store_true", help="also write a page with the images")
    add_max_fpr(parser)
    add_prevalence(parser)
    add_crops(parser, "the calibration's")
    parser.add_argument(
        "--stable",
        action="store_true",
        help="say unsure where another crop or a mild JPEG encoding changes the verdict; six times "
        "the work",
    )
    add_job_arguments(parser, batch_size=16)


def act(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if every image could be read."""
    from detectors.guarantee import ensemble_words, purpose_words
    from detectors.scan import scan
    from detectors.scan_page import write_page

    outcome = scan(
        settings.photos,
        settings.output,
        settings.weights,
        job_options(settings),
        settings.max_fpr,
        settings.prevalence,
        settings.stable,
        CropRule.given(settings.crops, settings.pool),
    )
    if outcome is None:
        return 0
    findings, ensemble = outcome.findings, outcome.ensemble
    if settings.html:
        page = settings.output.with_suffix(".html")
        write_page(settings.photos, findings, ensemble, page)
        output.result(page=page)
    code = output.report(outcome.report, f"judged in {settings.output}")
    counts = {}
    for verdict in ("generated", "unsure", "real"):
        counts[verdict] = sum(row.verdict == verdict for row in findings)
    text = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    output.result(text, **counts)
    output.result(None, **_tell_facts(findings, output))
    words = ensemble_words(ensemble)
    purposes = ensemble.purposes()
    lines = [purpose_words(*purpose) for purpose in purposes.items()]
    output.result("\n".join([*lines, *words]), made_for=purposes, verdicts_mean=words)
    return code


def _tell_facts(findings: Sequence[Finding], output: Output) -> dict[str, int]:
    """Print what files say of themselves and how they were decoded, beside the verdicts.

    Returns:
        The counts.
    """
    said = [row for row in findings if row.provenance.says_generated]
    signed = [row for row in findings if row.c2pa]
    noted = [row for row in findings if row.notes]
    if said:
        output.tell(
            f"{len(said)} files say themselves that they are generated, such as {said[0].file}; "
            "this is no part of the verdicts"
        )
    if noted:
        output.tell(f"{len(noted)} files have notes, such as {noted[0].file}: {noted[0].notes}")
    counts = {"says_generated": len(said), "with_c2pa": len(signed), "with_notes": len(noted)}
    return counts


VERB = Verb(
    "Give a verdict on every image: real, generated or unsure, with a calibrated probability.",
    "detectors scan PHOTOS/ -o scores.csv --weights DETECTOR/",
    options,
    act,
)

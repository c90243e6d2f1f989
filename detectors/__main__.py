"""Command line ``python -m detectors VERB``: train, evaluate and use detectors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from detectors import (
    calibrate_command,
    convert,
    export_command,
    features_command,
    protocol_command,
    scan_command,
)
from detectors.crop_rule import CropRule
from detectors.scoring_command import DETECTOR, report_answers, scoring_options
from detectors.verdict_options import add_crops, add_gate, add_max_fpr, add_prevalence
from engine.cli import Output, Parser, Room, Training, Verb, job_options, run

TASK = "detectors.module:SentryModule"
DATA = "datamodules.fake2m.datamodule:Fake2MDataModule"
LINKED = ("test_view", "train_view")
"""Settings of the data that the detector sets."""


def fit_options(parser: Parser) -> None:
    """Add the options of ``fit``: LightningCLI's."""
    parser.add_lightning(TASK, DATA, LINKED)
    add_gate(parser)


def validate_options(parser: Parser) -> None:
    """Add the options of ``validate``: LightningCLI's."""
    parser.add_lightning(TASK, DATA, LINKED, validate=True)
    add_gate(parser)


def train(arguments: list[str], quiet: bool) -> dict[str, float] | None:
    """Run ``fit`` or ``validate`` with LightningCLI, and return the logged metrics."""
    from detectors.cli import main as trainer

    return trainer(arguments, quiet=quiet).logged()


def test_options(parser: Parser) -> None:
    """Add the options of ``test``."""
    about = f"{DETECTOR}; the scores of several are combined by their mean log-odds"
    parser.add_argument("detectors", type=str, nargs="+", help=about)
    scoring_options(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--resamples", type=int, default=200, help="bootstrap samples of the intervals; 0 for none"
    )
    add_max_fpr(parser)
    add_prevalence(parser)
    add_crops(parser, "the calibration's")
    add_gate(parser)


def test(settings: Any, output: Output) -> int:
    """Run ``test``; return 0 only if every image could be read."""
    from detectors.calibration import check_prevalence
    from detectors.evaluate import measure, summary_text
    from detectors.gate import shortcut_warning
    from engine.devices import is_first_process

    check_prevalence(settings.prevalence)
    note = ""
    if settings.gate == "on" and is_first_process():
        warning, note = shortcut_warning(settings.data)
        if warning:
            output.warning(warning)
    outcome = measure(
        settings.detectors,
        settings.data,
        settings.output,
        settings.resamples,
        settings.max_fpr,
        CropRule.given(settings.crops, settings.pool),
        job_options(settings),
    )
    if outcome is None:
        return 0
    if note:
        output.note(note)
    record, answers = outcome
    output.result(summary_text(record, settings.prevalence), summary=record)
    return report_answers(answers, f"shards scored in {settings.output}", output)


def robustness_options(parser: Parser) -> None:
    """Add the options of ``robustness``."""
    parser.add_argument("detector", type=str, help=DETECTOR)
    scoring_options(parser)
    add_max_fpr(parser)
    add_prevalence(parser)
    add_crops(parser, "the calibration's")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; the same command continues a stopped run",
    )


def robustness(settings: Any, output: Output) -> int:
    """Run ``robustness``; return 0 only if every image could be read."""
    from detectors.robustness import row_text, sweep

    outcome = sweep(
        settings.detector,
        settings.data,
        settings.output,
        max_fpr=settings.max_fpr,
        rule=CropRule.given(settings.crops, settings.pool),
        options=job_options(settings),
        prevalence=settings.prevalence,
    )
    if outcome is None:
        return 0
    rows, answers = outcome
    for row in rows:
        text = f"{row['kind']} {row['level']}: {row_text(row)}"
        output.row("rows", text, **row)
    return report_answers(answers, f"edits scored in {settings.output}", output)


def leaderboard_options(parser: Parser) -> None:
    """Add the options of ``leaderboard``."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="*",
        help="folders of python -m detectors test, and score files (.csv, .parquet)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of leaderboard.md and leaderboard.html",
    )
    add_max_fpr(parser)
    add_prevalence(parser)


def leaderboard(settings: Any, output: Output) -> int:
    """Run ``leaderboard``."""
    from detectors.leaderboard import leaderboard as rank

    ranked = rank(settings.results, settings.output, settings.max_fpr, settings.prevalence)
    for place, entry in enumerate(ranked, start=1):
        if entry.trouble:
            output.warning(f"{entry.name} is not ranked: {entry.trouble}")
        elif entry.record is not None or place <= 3:
            text = f"{place}. {entry.name}: {entry.rank_text}"
            output.row("entries", text, place=place, name=entry.name, balanced_accuracy=entry.rank)
    page = settings.output / "leaderboard.html"
    output.result(f"page: {page}", page=page)
    return 0


VERBS: dict[str, Verb | Training] = {
    "fit": Training(
        "Train a detector.", "detectors fit -c configs/detectors/npr.yaml", fit_options, train
    ),
    "features": features_command.VERB,
    "validate": Training(
        "Evaluate a detector on the validation shards of a config.",
        "detectors validate -c configs/detectors/npr.yaml --ckpt_path last",
        validate_options,
        train,
    ),
    "calibrate": calibrate_command.VERB,
    "test": Verb(
        "Evaluate a detector on shards: scores of all images in scores.parquet, metrics in "
        "summary.json.",
        "detectors test DETECTOR/ --data '[SHARDS/val-*.tar]' -o OUT/",
        test_options,
        test,
    ),
    "robustness": Verb(
        "Evaluate a detector on edited images, and with both classes coded alike: robustness.csv, "
        "curves in robustness.svg.",
        "detectors robustness DETECTOR/ --data '[SHARDS/val-*.tar]' -o OUT/",
        robustness_options,
        robustness,
    ),
    "leaderboard": Verb(
        "Rank tests, foreign score files and the paper's rows in one table.",
        "detectors leaderboard OUT/ -o LEADERBOARD/",
        leaderboard_options,
        leaderboard,
    ),
    "protocol": protocol_command.VERB,
    "scan": scan_command.VERB,
    "export": export_command.VERB,
    "convert": Verb(
        convert.ABOUT,
        "detectors convert sentry.ckpt DETECTOR/ --kind sentry_convnext",
        convert.options,
        convert.act,
    ),
}

ROOM = Room("detectors", "Sentry: detectors of generated images.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

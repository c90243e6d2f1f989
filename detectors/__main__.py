"""``python -m detectors VERB``: train real-or-generated detectors, measure and use them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from detectors import convert, features_command, scan_command
from engine.cli import Output, Parser, Room, Training, Verb, add_job_arguments, job_options, run

DETECTOR = "the detector's folder or Hub id"


TASK, DATA = "detectors.module:SentryModule", "datamodules.fake2m.datamodule:Fake2MDataModule"
LINKED = ("test_view", "train_view")
"""Settings of the data that the detector's decide."""


def fit_options(parser: Parser) -> None:
    """What LightningCLI takes for a detector."""
    parser.add_lightning(TASK, DATA, LINKED)


def validate_options(parser: Parser) -> None:
    """The same for its validation."""
    parser.add_lightning(TASK, DATA, LINKED, validate=True)


def train(arguments: list[str], quiet: bool) -> dict[str, float] | None:
    """Hand over to LightningCLI."""
    from detectors.cli import main as trainer

    return trainer(arguments, quiet=quiet).logged()


def scoring_options(parser: Parser) -> None:
    """What every verb asks for that scores shards."""
    parser.add_argument(
        "--data", type=list[str], required=True, help="patterns of shards: '[SHARDS/val-*.tar]'"
    )
    add_job_arguments(parser, batch_size=64, workers=4)


def calibrate_options(parser: Parser) -> None:
    """What ``calibrate`` asks for."""
    parser.add_argument("detector", type=str, help=DETECTOR)
    scoring_options(parser)


def calibrate(settings: Any, output: Output) -> int:
    """Fit and store a calibration."""
    from dataclasses import asdict

    from detectors.evaluate import calibrate as fit
    from detectors.evaluate import place_of_calibration

    name = settings.pop("detector")
    target = place_of_calibration(name)
    if not target.is_dir():
        output.note(
            f"{name}: a checkpoint cannot hold a calibration; the calibrated detector will be saved as the folder {target}"
        )
    answered = fit(name, settings.data, job_options(settings))
    if answered is None:
        return 0
    found, answers = answered
    output.result(
        f"on {found.pictures} pictures: scale {found.scale:.3f}, bias {found.bias:.3f}\n"
        f"real below P = {found.real_below:.3f}, generated from P = {found.generated_above:.3f}, unsure between",
        calibration=asdict(found),
    )
    return tell_answers(answers, "shards scored", output)


def tell_answers(answers: Any, done: str, output: Output) -> int:
    """Tell what was scored and name what was not; 0 only if every image could be read."""
    code = output.report(answers.report, done)
    for error in answers.unread:
        output.error(f"not read: {error}")
    return 1 if answers.unread else code


def test_options(parser: Parser) -> None:
    """What ``test`` asks for."""
    parser.add_argument(
        "detectors", type=str, nargs="+", help=f"{DETECTOR}; of several, the mean of their log-odds"
    )
    scoring_options(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--resamples", type=int, default=200, help="bootstrap samples of the intervals; 0 for none"
    )


def test(settings: Any, output: Output) -> int:
    """Score a detector on shards; 0 only if every image could be read."""
    from detectors.evaluate import in_words, measure

    answered = measure(
        settings.detectors,
        settings.data,
        settings.output,
        settings.resamples,
        job_options(settings),
    )
    if answered is None:
        return 0
    record, answers = answered
    output.result(in_words(record), summary=record)
    return tell_answers(answers, f"shards scored in {settings.output}", output)


def robustness_options(parser: Parser) -> None:
    """What ``robustness`` asks for."""
    calibrate_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; a stopped sweep goes on in it",
    )


def robustness(settings: Any, output: Output) -> int:
    """Score a detector after edits; 0 only if every image could be read."""
    from detectors.robustness import sweep

    answered = sweep(
        settings.detector, settings.data, settings.output, options=job_options(settings)
    )
    if answered is None:
        return 0
    rows, answers = answered
    for row in rows:
        figures = ", ".join(
            f"{key.replace('_', ' ')} {row[key]:.3f}"
            for key in ("auc", "balanced_accuracy")
            if row[key] is not None
        )
        output.row(
            "rows",
            f"{row['kind']} {row['level']}: {figures}, verdicts changed {row['verdicts_changed']:.1%}",
            **row,
        )
    return tell_answers(answers, f"edits scored in {settings.output}", output)


def leaderboard_options(parser: Parser) -> None:
    """What ``leaderboard`` asks for."""
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


def leaderboard(settings: Any, output: Output) -> int:
    """Rank detectors."""
    from detectors.leaderboard import leaderboard as rank

    for place, entry in enumerate(rank(settings.results, settings.output), start=1):
        if entry.trouble:
            output.warning(f"{entry.name} is not ranked: {entry.trouble}")
        elif entry.record is not None or place <= 3:
            text = f"{place}. {entry.name}: balanced accuracy {entry.rank:.1f}"
            output.row("entries", text, place=place, name=entry.name, balanced_accuracy=entry.rank)
    output.result(
        f"page: {settings.output / 'leaderboard.html'}", page=settings.output / "leaderboard.html"
    )
    return 0


VERBS: dict[str, Verb | Training] = {
    "fit": Training(
        "Train a detector.", "detectors fit -c configs/detectors/npr.yaml", fit_options, train
    ),
    "features": features_command.VERB,
    "validate": Training(
        "Measure a detector on the validation shards of a config.",
        "detectors validate -c configs/detectors/npr.yaml --ckpt_path last",
        validate_options,
        train,
    ),
    "calibrate": Verb(
        "Fit what a detector's answers mean, on images used for nothing else; stored with its weights.",
        "detectors calibrate DETECTOR/ --data '[SHARDS/calibration-*.tar]'",
        calibrate_options,
        calibrate,
    ),
    "test": Verb(
        "Score a detector on shards: scores.parquet with every answer, summary.json with every figure.",
        "detectors test DETECTOR/ --data '[SHARDS/val-*.tar]' -o OUT/",
        test_options,
        test,
    ),
    "robustness": Verb(
        "Score a detector after edits, and with both classes coded alike: robustness.csv, and curves in robustness.svg.",
        "detectors robustness DETECTOR/ --data '[SHARDS/val-*.tar]' -o OUT/",
        robustness_options,
        robustness,
    ),
    "leaderboard": Verb(
        "Rank tests, score files of others and the paper's rows in one table.",
        "detectors leaderboard OUT/ -o LEADERBOARD/",
        leaderboard_options,
        leaderboard,
    ),
    "scan": scan_command.VERB,
    "convert": Verb(
        convert.ABOUT,
        "detectors convert sentry.ckpt DETECTOR/ --kind sentry_convnext",
        convert.options,
        convert.act,
    ),
}

ROOM = Room("detectors", "Sentry: classifiers that tell generated images from photographs.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))

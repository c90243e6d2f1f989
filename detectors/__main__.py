"""``python -m detectors VERB``: train real-or-generated detectors, measure and use them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.cli import dispatch, parser, run

ABOUT = """usage: python -m detectors VERB ...

  fit          train a detector: python -m detectors fit -c configs/detectors/npr.yaml
  features     what a frozen backbone makes of pictures, to train linear layers on
  validate     measure one on the validation shards of a config
  calibrate    fit what a detector's answers mean, on pictures that are used for nothing else; stored with its weights
  test         score a detector on shards: scores.parquet, summary.json
  robustness   the same after JPEG, blur, scaling and the like, and with both classes coded alike: curves
  leaderboard  tests, score files of others and the paper's rows in one table
  scan         a verdict on every picture of a folder: python -m detectors scan PHOTOS/ -o scores.csv --weights DETECTOR/
  convert      a released checkpoint file into a detector's folder

python -m detectors VERB --help tells more."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    if arguments[:1] in (["fit"], ["validate"]):
        from detectors.cli import main as trainer

        trainer(None if arguments == sys.argv[1:] else arguments)  # Lightning re-launches ranks from sys.argv
        return 0
    verbs = {
        "features": features,
        "calibrate": calibrate,
        "test": test,
        "robustness": robustness,
        "leaderboard": leaderboard,
        "scan": scan,
        "convert": convert,
    }
    return dispatch(ABOUT, verbs, arguments)


def convert(arguments: list[str]) -> int:
    """Convert a released file."""
    from detectors.convert import main as command

    return command(arguments)


def features(arguments: list[str]) -> int:
    """Keep features."""
    from detectors.features_command import VERB

    return VERB.run("detectors features", arguments)


def calibrate(arguments: list[str]) -> int:
    """Fit and store a calibration."""
    from detectors.evaluate import calibrate as fit
    from detectors.evaluate import place_of_calibration

    made = scoring_parser(
        "calibrate", "Fit what a detector's answers mean, on pictures that are used for nothing else; stored with its weights."
    )
    settings = made.parse_args(arguments)
    del settings.config
    name = settings.pop("detector")
    target = place_of_calibration(name)
    if not target.is_dir():
        print(f"{name}: a checkpoint cannot hold a calibration; the calibrated detector will be saved as the folder {target}", flush=True)
    found = fit(name, **settings.as_dict())
    if found is not None:
        print(f"on {found.pictures} pictures: scale {found.scale:.3f}, bias {found.bias:.3f}")
        print(f"real below P = {found.real_below:.3f}, generated from P = {found.generated_above:.3f}, unsure between")
    return 0


def test(arguments: list[str]) -> int:
    """Score a detector on shards; 0 only if every picture could be read."""
    from detectors.evaluate import in_words, measure

    about = "Score a detector on shards: scores.parquet with every answer, summary.json with every figure."
    made = scoring_parser("test", about, several=True)
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    made.add_argument("--resamples", type=int, default=200, help="bootstrap samples of the intervals; 0 for none")
    settings = made.parse_args(arguments)
    del settings.config
    record = measure(settings.pop("detectors"), **settings.as_dict())
    if record is None:
        return 0
    print(in_words(record))
    for error in record["failed"]:
        print(f"not read: {error}", file=sys.stderr)
    return 1 if record["failed"] else 0


def robustness(arguments: list[str]) -> int:
    """Score a detector after edits."""
    from detectors.robustness import sweep

    made = scoring_parser("robustness", "Score a detector after edits: robustness.csv, and curves in robustness.svg.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results; a stopped sweep goes on in it")
    settings = made.parse_args(arguments)
    del settings.config
    rows = sweep(settings.pop("detector"), **settings.as_dict())
    for row in rows or []:
        figures = ", ".join(f"{key.replace('_', ' ')} {row[key]:.3f}" for key in ("auc", "balanced_accuracy") if row[key] is not None)
        print(f"{row['kind']} {row['level']}: {figures}, verdicts changed {row['verdicts_changed']:.1%}")
    return 0


def leaderboard(arguments: list[str]) -> int:
    """Rank detectors."""
    from detectors.leaderboard import leaderboard as rank

    made = parser("python -m detectors leaderboard", "Tests, score files of others and the paper's rows in one table.")
    made.add_argument("results", type=Path, nargs="*", help="folders of python -m detectors test, and score files (.csv, .parquet)")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of leaderboard.md and leaderboard.html")
    settings = made.parse_args(arguments)
    entries = rank(settings.results, settings.output)
    for place, entry in enumerate(entries, start=1):
        if entry.trouble:
            print(f"{entry.name} is not ranked: {entry.trouble}", file=sys.stderr)
        elif entry.record is not None or place <= 3:
            print(f"{place}. {entry.name}: balanced accuracy {entry.rank:.1f}")
    print(f"page: {settings.output / 'leaderboard.html'}")
    return 0


def scan(arguments: list[str]) -> int:
    """Judge images."""
    from detectors.scan_command import VERB

    return VERB.run("detectors scan", arguments)


def scoring_parser(verb: str, about: str, several: bool = False) -> Any:
    """What these verbs ask for."""
    from detectors.scoring import score_shards

    made = parser(f"python -m detectors {verb}", about)
    if several:
        made.add_argument("detectors", type=str, nargs="+", help="the detector's folder or Hub id; of several, the mean of their log-odds")
    else:
        made.add_argument("detector", type=str, help="the detector's folder or Hub id")
    made.add_argument("--data", type=list[str], required=True, help="patterns of shards: '[SHARDS/val-*.tar]'")
    made.add_function_arguments(score_shards, skip={"detector", "urls", "edit"})
    return made


if __name__ == "__main__":
    sys.exit(run(main))

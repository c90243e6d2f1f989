"""Verb ``python -m detectors calibrate``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectors.crop_rule import CENTER, CropRule
from detectors.scoring_command import DETECTOR, report_answers, scoring_options
from detectors.verdict_options import add_crops
from engine.cli import Output, Parser, Verb, job_options


def options(parser: Parser) -> None:
    """Add the verb's options."""
    about = f"{DETECTOR}; several are calibrated as one, and need -o"
    parser.add_argument("detectors", type=str, nargs="+", help=about)
    scoring_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path | None,
        default=None,
        help="of several detectors: folder for the ensemble, its ensemble.json",
    )
    parser.add_argument(
        "--max-fpr",
        type=float,
        nargs="+",
        default=[0.01, 0.05],
        help="error rates to keep verdict thresholds for: of real images called generated, and of "
        "generated ones called real; a rate r takes 1/r - 1 images of a class",
    )
    add_crops(parser, "center")
    parser.add_argument(
        "--histories",
        type=float,
        default=0.0,
        help="share of the images, 0 to 1, that are edited at random before they are scored, as by "
        "RandomHistory in training: the rates are then those of such a mixture",
    )
    parser.add_argument(
        "--unlike",
        type=list[str],
        default=[],
        help="shards of images of other kinds, whatever their labels, that teach the guard of one "
        "detector what to be unsure of; its rate stays the same",
    )


def act(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if every image could be read."""
    from dataclasses import asdict, replace

    from detectors.calibrate import calibrate, calibration_folder
    from detectors.calibrate_ensemble import calibrate_ensemble
    from detectors.guarantee import (
        NOT_BOUNDED,
        bound_words,
        crop_words,
        domain_words,
        prior_words,
    )

    names = settings.detectors
    rule = CropRule.given(settings.crops, settings.pool) or CENTER
    job = (settings.max_fpr, rule, job_options(settings), settings.histories)
    if (len(names) > 1) != (settings.output is not None):
        msg = "several detectors need -o, the folder of their ensemble; one detector has none"
        raise ValueError(msg)
    if settings.output is not None:
        if settings.unlike:
            msg = "--unlike is for one detector: calibrate each with it, then all as one"
            raise ValueError(msg)
        outcome = calibrate_ensemble(names, settings.data, settings.output, *job)
    else:
        target = calibration_folder(names[0])
        if not target.is_dir():
            output.note(
                f"{names[0]}: a checkpoint cannot hold a calibration; "
                f"the calibrated detector will be saved as the folder {target}"
            )
        outcome = calibrate(names[0], settings.data, *job, settings.unlike)
    if outcome is None:
        return 0
    calibration, answers = outcome
    lines = [
        f"on {calibration.images} images: scale {calibration.scale:.3f}, "
        f"bias {calibration.bias:.3f}; {prior_words(calibration)}"
    ]
    if calibration.data is not None and calibration.data.copies:
        lines.append(f"{calibration.data.copies} copies of these images were left out")
    lines += crop_words(calibration)
    for point in calibration.points:
        chosen = replace(calibration, max_fpr=point.max_fpr)
        lines.append(f"at --max-fpr {point.max_fpr:g}: {bound_words(chosen)}")
    if settings.output is None:
        lines.append(domain_words(calibration))
    output.result("\n".join([*lines, NOT_BOUNDED]), calibration=asdict(calibration))
    code = report_answers(answers, "shards scored", output)
    if settings.unlike and calibration.domain is None:
        output.error("--unlike: no guard was fitted; it needs about 80 images of each class")
        return 1
    return code


VERB = Verb(
    "Calibrate a detector on held-out images; the calibration is stored with its weights.",
    "detectors calibrate DETECTOR/ --data '[SHARDS/calibration-*.tar]'",
    options,
    act,
)

"""Several detectors as one: the mean of their calibrated log-odds, and a verdict only where they agree."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from detectors.calibration import Calibration
from detectors.detector import load_detector
from detectors.scan import COLUMNS, Finding, read_table, scan, weights_digest
from detectors.scores import Scores, log_odds, sigmoid
from engine.csv_journal import write_table
from images.inputs import find_images


def combined(scored: Sequence[Scores], calibrations: Sequence[Calibration]) -> tuple[Scores, Calibration]:
    """Scores of an ensemble, and what they mean.

    Args:
        scored: Of each detector, of the same pictures in the same order, but for those that one of them could not read.
        calibrations: Of each detector.

    Returns:
        Mean log-odds of the pictures that all could read, and a calibration that changes nothing; it is fitted only if all of them are.
    """
    names = [np.char.add(np.char.add(part.facts["subset"], "/"), part.facts["key"]) for part in scored]
    everywhere = reduce(np.intersect1d, names)
    parts = [part.where(np.isin(name, everywhere)) for part, name in zip(scored, names, strict=True)]
    odds = [calibration.scale * part.logit + calibration.bias for part, calibration in zip(parts, calibrations, strict=True)]
    return Scores(parts[0].label, np.mean(odds, axis=0), parts[0].facts), Calibration(pictures=min(one.pictures for one in calibrations))


def scan_together(
    inputs: Sequence[Path], output: Path, names: Sequence[str], resume: bool = False, **how: Any
) -> tuple[list[Finding], dict[str, str]]:
    """As :func:`detectors.scan.scan`, with several detectors, one after another; each one's own table is kept until all are done.

    Args:
        inputs: As there.
        output: As there.
        names: The detectors' folders or Hub ids.
        resume: Go on with a stopped run.
        how: As there.

    Raises:
        FileNotFoundError: If pictures or a detector are not there.
        ValueError: If the file is there already, a detector is named twice or has no calibration, or a stopped run used others.
    """
    if len(names) == 1:
        return scan(inputs, output, names[0], resume=resume, **how)
    if output.exists() and not resume:
        msg = f"{output} exists already: choose another name, delete it, or add --resume"
        raise ValueError(msg)
    digests = [weights_digest(name) for name in names]
    if len(set(digests)) < len(names):
        msg = f"one detector is given twice: {', '.join(names)}"
        raise ValueError(msg)
    if bare := [name for name in names if not load_detector(name).calibration.pictures]:
        msg = f"{bare[0]} has no calibration, so that its answers cannot be compared with others': python -m detectors calibrate"
        raise ValueError(msg)
    parts = [output.with_name(f"{output.name}.{hashlib.sha256(digest.encode()).hexdigest()[:12]}") for digest in digests]
    inside = find_images(inputs)
    expected = [*(image.name for image in inside.images), *inside.failed]
    tables = []
    for name, part in zip(names, parts, strict=True):
        found = read_table(part) if resume and part.is_file() else []
        if [row.file for row in found] != expected:
            part.unlink(missing_ok=True)
            found, _ = scan(inputs, part, name, resume=resume, **how)
        tables.append(found)
    whole = [agreed(rows) for rows in zip(*tables, strict=True)]
    write_table(output, COLUMNS, (asdict(row) for row in whole))
    for part in parts:
        os.unlink(part)
    return whole, inside.skipped


def agreed(rows: Sequence[Finding]) -> Finding:
    """What several detectors say of one picture: unsure unless they all say the same."""
    if failed := [row for row in rows if row.error]:
        return failed[0]
    logit = float(np.mean([log_odds(row.probability) for row in rows if row.probability is not None]))
    verdicts = {row.verdict for row in rows}
    verdict = verdicts.pop() if len(verdicts) == 1 else "unsure"
    return Finding(rows[0].file, verdict, float(sigmoid(np.array(logit))), logit, rows[0].width, rows[0].height)

"""AUC of a detector on every generator, natively and after edits that both classes get.

Run ``python -m benchmarks.photo_detector DETECTOR --data '[SHARDS/test-*.tar]' -o OUT/``.

The edits are those of ``python -m detectors robustness``: as found; equal size and codec; JPEG 70;
half size. A row is a generator's AUC against all real images, with DeLong's interval over images.
The last row is the mean over generators: that of all images together, if the generators have
equally many.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detectors import metrics
from detectors.crop_rule import CropRule
from detectors.robustness import sweep
from detectors.scores import Scores
from engine.pages.markdown import markdown_table
from engine.statistics import auc_interval
from images.transforms.codecs import JPEG
from images.transforms.geometry import Resize

EDITS = {"jpeg": {"70": JPEG(70)}, "resize": {"0.5": Resize(0.5)}}
"""Edits beside the tracks, by kind and level."""

COLUMNS = {
    "as found": "track, native",
    "equal size and codec": "track, aligned",
    "JPEG 70": "jpeg, 70",
    "half size": "resize, 0.5",
}
"""Columns of the table, with their names in the sweep."""


def cell(scores: Scores) -> str:
    """Format the AUC and its interval."""
    interval = auc_interval(scores.label, scores.logit)
    auc = metrics.auc(scores.label, scores.logit)
    if interval is None or auc is None:
        return "-"
    return f"{auc:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector", help="folder of the detector")
    parser.add_argument("--data", required=True, nargs="+", help="patterns of shards")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the scores")
    parser.add_argument("--crops", choices=("center", "five", "tiles"))
    settings = parser.parse_args()
    rule = CropRule.given(settings.crops, None)
    outcome = sweep(settings.detector, settings.data, settings.output, EDITS, rule=rule)
    assert outcome is not None
    answers = outcome[1].scores
    parts = [answers[name] for name in COLUMNS.values()]
    names = sorted(set(parts[0].facts["generator"][parts[0].label == 1]))
    rows = []
    for name in names:
        masks = [(part.label == 0) | (part.facts["generator"] == name) for part in parts]
        cells = [cell(part.where(mask)) for part, mask in zip(parts, masks, strict=True)]
        rows.append([name, *cells])
    rows.append(["all", *(cell(part) for part in parts)])
    print(markdown_table(["generator", *COLUMNS], rows))


if __name__ == "__main__":
    main()

"""Entries of the leaderboard: tests, score files, and rows of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.leaderboard_cells import image_counts
from detectors.mpbench import paper_rows
from detectors.scores import Scores
from detectors.summary import calibrated_metrics, flipped_labels, interval_of, summarise
from detectors.summary_record import Record
from engine.records import read_json

REFERENCE = "arXiv 2304.13023"


@dataclass(frozen=True)
class Entry:
    """One detector of the leaderboard.

    Attributes:
        name: Name of the detector.
        table: MPBench's columns and averages, in per cent; see :func:`detectors.summary.table`.
        record: Record of its test; None for a row of the paper.
    """

    name: str
    table: Mapping[str, Any]
    record: Mapping[str, Any] | None = None

    @property
    def rank(self) -> float | None:
        """Balanced accuracy in per cent; None if unknown, as of one class alone.

        It orders the entries. It is the mean of real and generated accuracy over MPBench's sets.
        Without those sets it is the balanced accuracy of the whole test.
        """
        if self.table["balanced"] is not None:
            return float(self.table["balanced"])
        known = None if self.record is None else calibrated_metrics(self.record)
        accuracy = None if known is None else known["balanced_accuracy"]
        return None if accuracy is None else 100 * float(accuracy)

    @property
    def rank_text(self) -> str:
        """Balanced accuracy of :attr:`rank` with its 95 % interval, if known, and its images."""
        rank = self.rank
        text = "no balanced accuracy" if rank is None else f"balanced accuracy {rank:.1f}"
        if self.record is None:
            return f"{text}, as published"
        images = f"real + generated: {image_counts(self.record['pictures'])}"
        if self.table["balanced"] is not None:
            return f"{text}, mean over MPBench's sets without an interval, {images}"
        interval = interval_of(self.record, "balanced_accuracy")
        bounds = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
        return f"{text}{bounds}, {images}"

    @property
    def trouble(self) -> str:
        """Reason for not ranking the entry; empty for a ranked one."""
        return "" if self.record is None else flipped_labels(self.record)


def read_entry(path: Path) -> Entry:
    """Read an entry from a test's folder or a score file.

    The entry is named after the folder or file.
    """
    if not path.is_dir():
        summary = summarise(Scores.read(path))
        return Entry(path.stem, summary["mpbench"], summary)
    file = path / "summary.json"
    if not file.is_file():
        msg = (
            f"{path}: no summary.json here; "
            "run python -m detectors test with this output folder first"
        )
        raise FileNotFoundError(msg)
    record = read_json(file, Record, "run python -m detectors test again")
    return Entry(path.resolve().name, record["mpbench"], record)


def references() -> list[Entry]:
    """Entries of the paper's table."""
    return [Entry(f"{name} ({REFERENCE})", row.record()) for name, row in paper_rows().items()]
